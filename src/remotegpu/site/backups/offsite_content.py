"""What belongs into the bucket elsewhere, what of it is missing there, and what was kept long enough. Pure.

A key is the file's path in the folder of backups, with ``.age`` at its end. Names of objects' contents are checksums:
who has a content can see that it is there; nobody learns one from its name.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from remotegpu.site import kept
from remotegpu.site.backups.manifests import FILE_NAME, Kind, Manifest
from remotegpu.site.backups.objects import CONTENT
from remotegpu.site.backups.store import FOLDERS

SENT: tuple[Kind, ...] = ("database", "redis")
"""Sent as a whole, right after it was made."""
ALL: tuple[Kind, ...] = (*SENT, "objects")
SUFFIX = ".age"
SHA256 = re.compile(r"[0-9a-f]{64}")


def key_of(path: str) -> str:
    """``path``: in the folder of backups."""
    return path if path.endswith(SUFFIX) else f"{path}{SUFFIX}"


def path_of(key: str) -> str:
    """The reverse. Bundles of secrets stay as they are: they were sealed before they were kept."""
    return key if key.startswith(f"{kept.SECRETS}/") else key.removesuffix(SUFFIX)


def content_key(checksum: str) -> str:
    return key_of(f"{CONTENT}/{checksum[:2]}/{checksum}")


def manifest_key(kind: Kind, backup: str) -> str:
    return key_of(f"{FOLDERS[kind]}/{backup}/{FILE_NAME}")


def is_ours(key: str) -> bool:
    """pgBackRest has a folder of its own in the bucket. What leads out of the folder of backups is not ours."""
    folders = (*kept.FOLDERS, CONTENT, *(FOLDERS[kind] for kind in ALL))
    is_inside = not {"", ".", ".."} & set(key.split("/"))
    return is_inside and key.endswith(SUFFIX) and key.startswith(tuple(f"{folder}/" for folder in folders))


def whole(there: Iterable[str], kind: Kind) -> list[str]:
    """Ids of those whose manifest is in the bucket, oldest first."""
    return sorted(
        backup
        for key in there
        for of, backup in _backup(key)
        if key == manifest_key(kind, backup) and of == kind
    )


def unsent(
    backups: Sequence[Manifest],
    there: AbstractSet[str],
    kinds: Sequence[Kind],
    now: datetime,
    keep: timedelta,
) -> list[Manifest]:
    """Those whose manifest, which is sent last, is not in the bucket; but for what would be removed at once."""
    missing = {
        key: each
        for each in backups
        if each.kind in kinds and (key := manifest_key(each.kind, each.id)) not in there
    }
    gone = set(expired({*there, *missing}, now, keep))
    return [each for key, each in missing.items() if key not in gone]


def expired(there: Iterable[str], now: datetime, keep: timedelta) -> list[str]:
    """Keys of backups that were kept long enough. The newest of each kind that is whole always stays."""
    by_backup: dict[tuple[Kind, str], list[str]] = {}
    for key in there:
        for kind, backup in _backup(key):
            by_backup.setdefault((kind, backup), []).append(key)
    whole = [each for each, keys in by_backup.items() if manifest_key(*each) in keys]
    newest = {kind: max(backup for of, backup in whole if of == kind) for kind, _ in whole}
    limit = f"{now - keep:%Y%m%dT%H%M%SZ}"
    return [
        key
        for (kind, backup), keys in by_backup.items()
        if backup < limit and backup != newest.get(kind)
        for key in keys
    ]


def _backup(key: str) -> Iterator[tuple[Kind, str]]:
    """The backup that a key is of, when it is of one."""
    for kind in ALL:
        backup, slash, _ = key.removeprefix(f"{FOLDERS[kind]}/").partition("/")
        if key.startswith(f"{FOLDERS[kind]}/") and slash:
            yield kind, backup


def unsent_copies(paths: Collection[str], there: AbstractSet[str]) -> list[str]:
    """Of configuration and secrets: paths that are not in the bucket, but for what would be removed at once."""
    missing = {key_of(path): path for path in paths if key_of(path) not in there}
    gone = set(expired_copies({*there, *missing}))
    return [path for key, path in missing.items() if key not in gone]


def expired_copies(there: Iterable[str]) -> list[str]:
    """Keys of copies of configuration and secrets beyond those that are kept."""
    keys = [key for key in there if key.endswith(SUFFIX)]
    return [
        key
        for folder in kept.FOLDERS
        for key in kept.superfluous(each for each in keys if each.startswith(f"{folder}/"))
    ]


def unneeded(there: Iterable[str], known: Mapping[str, Collection[str]]) -> list[str]:
    """Keys of objects' contents that no index names.

    ``known``: by backup, the checksums that its index here names. Indexes in the bucket cannot be read here, which
    takes the private key: while one is there that is not known here, as on a node that replaced a lost one, every
    content may be its own, and stays.
    """
    keys = list(there)
    sent = {backup for key in keys for kind, backup in _backup(key) if kind == "objects"}
    if not sent or not sent <= known.keys():
        return []
    wanted = {checksum for checksums in known.values() for checksum in checksums}
    return [key for key in keys if (found := checksum_of(key)) and found not in wanted]


def checksum_of(key: str) -> str | None:
    """Of the content that a key is of; None for any other key."""
    name = key.rpartition("/")[2].removesuffix(SUFFIX)
    return name if SHA256.fullmatch(name) and key == content_key(name) else None
