"""The object store's backup: each content once, under its SHA-256, and per pass an index that says which key has which.

Only what changed is fetched. What vanished from the bucket stays for as long as backups are kept. When much vanished at
once, nothing of it is given up until a person says that it was meant: an emptied bucket must not empty its backup.
"""

import secrets
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from remotegpu.kit import files
from remotegpu.site.backups.buckets import Bucket, Listed
from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.manifests import Objects
from remotegpu.site.backups.store import sha256, sync

INDEX = "index.jsonl"
CONTENT = "objects/content"
GUARDED_SHARE = 0.2
"""When more than this share of the objects vanished since the last pass, the guard holds them."""
GUARDED_FROM = 10
"""Fewer than so many may always vanish: a share of a handful says nothing."""
FETCHERS = 4


class Entry(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One object. ``vanished_at``: since when the bucket no longer has it."""

    key: str
    size: int
    tag: str
    modified: datetime
    sha256: str
    vanished_at: datetime | None = None


@dataclass(frozen=True)
class Plan:
    """``fetch``: new or changed. ``keep``: as they were. ``vanished``: known, and no longer in the bucket.

    ``held``: whether the guard keeps the vanished ones. ``removed``: kept long enough after they vanished.
    """

    fetch: tuple[Listed, ...]
    keep: tuple[Entry, ...]
    vanished: tuple[Entry, ...]
    held: bool
    removed: tuple[Entry, ...]


def plan(
    known: Mapping[str, Entry], listed: Iterable[Listed], *, now: datetime, keep: timedelta, accept: bool
) -> Plan:
    """What a pass has to do. ``accept``: a person said that what vanished was deleted on purpose. Pure."""
    there = {each.key: each for each in listed}
    present = {key: entry for key, entry in known.items() if entry.vanished_at is None}
    gone = tuple(entry for key, entry in present.items() if key not in there)
    held = not accept and len(gone) >= GUARDED_FROM and len(gone) > GUARDED_SHARE * len(present)
    earlier = [entry for key, entry in known.items() if entry.vanished_at is not None and key not in there]
    over = tuple(entry for entry in earlier if not held and _is_over(entry, now, keep))
    same = {key: entry for key, entry in present.items() if key in there and _is_same(entry, there[key])}
    return Plan(
        fetch=tuple(each for key, each in there.items() if key not in same),
        keep=(*same.values(), *(entry for entry in earlier if entry not in over)),
        vanished=gone,
        held=held,
        removed=over,
    )


def _is_over(entry: Entry, now: datetime, keep: timedelta) -> bool:
    return entry.vanished_at is not None and now - entry.vanished_at > keep


def _is_same(entry: Entry, listed: Listed) -> bool:
    return (entry.size, entry.tag, entry.modified) == (listed.size, listed.tag, listed.modified)


def after(decided: Plan, fetched: Iterable[Entry], now: datetime) -> list[Entry]:
    """The next index. What the guard holds counts as there, so that the next pass asks again. Pure."""
    gone = (
        decided.vanished
        if decided.held
        else tuple(msgspec.structs.replace(entry, vanished_at=now) for entry in decided.vanished)
    )
    return sorted((*decided.keep, *fetched, *gone), key=lambda entry: entry.key)


def fetch(bucket: Bucket, wanted: Iterable[Listed], content: Path) -> list[Entry]:
    """Bring each object's content, unless it is there already under another key."""
    files.make_directory(content)
    for left in content.glob(".fetching-*"):
        left.unlink()
    with ThreadPoolExecutor(FETCHERS) as pool:
        running = [pool.submit(_fetch, bucket, each, content) for each in wanted]
        found = [each.result() for each in running]
    return [entry for entry in found if entry is not None]


def _fetch(bucket: Bucket, listed: Listed, content: Path) -> Entry | None:
    temporary = content / f".fetching-{secrets.token_hex(8)}"
    try:
        checksum = bucket.fetch(listed.key, temporary)
        size = temporary.stat().st_size
        place = content_path(content, checksum)
        files.make_directory(place.parent)
        sync(temporary)
        temporary.replace(place)
    except FileNotFoundError:
        return None  # deleted since it was listed: the next pass takes it for what it is
    except OSError as error:
        raise BackupError(f"{listed.key} cannot be stored in {content}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return Entry(key=listed.key, size=size, tag=listed.tag, modified=listed.modified, sha256=checksum)


def content_path(content: Path, checksum: str) -> Path:
    """Two hundred and fifty-six folders: none grows too large to list."""
    return content / checksum[:2] / checksum


def content_problem(path: Path, checksum: str) -> str | None:
    """What is wrong with a content, in a sentence."""
    if not path.is_file():
        return f"{path} is missing"
    if sha256(path) != checksum:
        return f"{path} does not hold what its name says"
    return None


def read_index(path: Path) -> dict[str, Entry]:
    """By key; empty where there is none."""
    if not path.exists():
        return {}
    entries = (msgspec.json.decode(line, type=Entry) for line in path.read_bytes().splitlines())
    return {entry.key: entry for entry in entries}


def write_index(path: Path, entries: Iterable[Entry]) -> None:
    files.write_private(path, b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries))


def figures(name: str, decided: Plan, fetched: list[Entry], index: list[Entry]) -> Objects:
    """For the manifest. Pure."""
    return Objects(
        bucket=name,
        objects=len(index),
        size=sum(entry.size for entry in index),
        copied=len(fetched),
        copied_size=sum(entry.size for entry in fetched),
        vanished=len(decided.vanished),
        held_back=len(decided.vanished) if decided.held else 0,
        removed=len(decided.removed),
    )


def unreferenced(content: Path, indexes: Iterable[Mapping[str, Entry]]) -> list[Path]:
    """Contents that no index names."""
    wanted = {entry.sha256 for index in indexes for entry in index.values()}
    return [path for path in content.glob("??/*") if path.name not in wanted]


def put_back(bucket: Bucket, index: Mapping[str, Entry], content: Path) -> list[str]:
    """Put into the bucket what it lacks or has otherwise. Returns the keys. What else is there stays."""
    there = {each.key: each for each in bucket.listed()}
    lacking = [
        entry
        for key, entry in index.items()
        if entry.vanished_at is None and (key not in there or not _is_same(entry, there[key]))
    ]
    for entry in lacking:
        bucket.put(entry.key, content_path(content, entry.sha256))
    return [entry.key for entry in lacking]
