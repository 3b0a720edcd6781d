"""Looking after the backups there are: are they whole, and which have been kept long enough?"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from remotegpu.site.backups import dumping, objects, pgbackrest, programs, retention, retired, store
from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.manifests import KINDS, Manifest
from remotegpu.site.backups.settings import Settings
from remotegpu.site.backups.store import Store
from remotegpu.site.backups.work import Say
from remotegpu.site.runner import Command, attempt


class Verified(msgspec.Struct, kw_only=True, frozen=True):
    """``problems``: empty for a backup that is whole."""

    id: str
    kind: str
    problems: tuple[str, ...]


def verify(settings: Settings, backup: str | None, say: Say) -> list[Verified]:
    """Read every byte of one backup, or of all. The repository of pgBackRest counts as one."""
    found = Store(settings.backup_dir)
    chosen = found.all() if backup is None else [found.get(backup)]
    results: list[Verified] = []
    for manifest in chosen:
        if manifest.kind != "base":
            say(f"verifying {manifest.id} ({manifest.kind})")
            results.append(
                Verified(id=manifest.id, kind=manifest.kind, problems=tuple(problems(settings, manifest)))
            )
    if any(manifest.kind == "base" for manifest in chosen):
        say("pgBackRest verifies its repository")
        results.append(Verified(id="pgbackrest", kind="base", problems=tuple(pgbackrest.verify(settings))))
    return results


def problems(settings: Settings, manifest: Manifest) -> list[str]:
    """What is wrong with the files of one backup."""
    folder = Store(settings.backup_dir).path(manifest)
    found = store.damage(folder, manifest.files)
    if not found and manifest.database is not None:
        found += _unreadable(folder / dumping.DUMP, manifest.database.server_version)
    if not found and manifest.kind == "objects":
        found += _lost(objects.read_index(folder / objects.INDEX), settings.backup_dir / objects.CONTENT)
    return found


def _unreadable(dump: Path, version: str) -> list[str]:
    done = attempt(Command(argv=(programs.postgresql("pg_restore", version), "--list", str(dump))))
    return [] if done.code == 0 else [f"pg_restore cannot read {dump}: {done.output.strip()[-500:]}"]


def _lost(index: dict[str, objects.Entry], content: Path) -> list[str]:
    checksums = sorted({entry.sha256 for entry in index.values()})
    looked_at = (objects.content_problem(objects.content_path(content, each), each) for each in checksums)
    return [problem for problem in looked_at if problem]


@dataclass(frozen=True)
class Pruned:
    """``contents``: objects that no index names any more. ``repositories``: of retired keys, by path."""

    backups: tuple[Manifest, ...]
    contents: int
    repositories: tuple[str, ...]


def prune(settings: Settings, found: Store, now: datetime, say: Say, *, dry_run: bool) -> Pruned:
    """Take away what was kept long enough. The newest good backup of each kind always stays.

    Raises :class:`BackupError` when a retired repository should go and cannot.
    """
    backups = found.all()
    over = retention.expired(
        backups,
        now=now,
        keep_days=settings.keep_days,
        damaged=_damaged(settings, backups),
        base_labels=_labels(settings),
    )
    if not dry_run:
        for manifest in over:
            found.remove(found.path(manifest))
    gone = {manifest.id for manifest in over}
    indexes = [
        objects.read_index(found.path(each) / objects.INDEX)
        for each in backups
        if each.kind == "objects" and each.id not in gone
    ]
    contents = objects.unreferenced(settings.backup_dir / objects.CONTENT, indexes) if indexes else []
    if not dry_run:
        for path in contents:
            path.unlink()
    repositories = retired.remove(settings, now, say, dry_run=dry_run)
    return Pruned(tuple(over), len(contents), tuple(repositories))


def _damaged(settings: Settings, backups: Sequence[Manifest]) -> set[str]:
    """From the newest of each kind back to the first that is whole: older ones need not be read."""
    found: set[str] = set()
    for kind in KINDS:
        for manifest in reversed([each for each in backups if each.kind == kind]):
            if not problems(settings, manifest):
                break
            found.add(manifest.id)
    return found


def _labels(settings: Settings) -> set[str] | None:
    try:
        return {backup.label for backup in pgbackrest.info_to_read(settings).backup}
    except BackupError:
        return None
