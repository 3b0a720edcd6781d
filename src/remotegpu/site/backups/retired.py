"""Repositories of retired keys: kept while moments are restored from them, removed when the one in use has them all."""

import shutil
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from remotegpu.site.backup_keys import RETIRED, Retired
from remotegpu.site.backups import pgbackrest
from remotegpu.site.backups.buckets import S3Bucket
from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.pgbackrest import Stanza
from remotegpu.site.backups.settings import Settings
from remotegpu.site.backups.work import Say

PARTS = ("archive", "backup")
"""Folders of a repository. Those of later keys lie beside them in the first one's."""


def remove(settings: Settings, now: datetime, say: Say, *, dry_run: bool) -> list[str]:
    """Take away what no moment needs any more, off site first. Returns the local paths.

    Raises :class:`BackupError`; what is left goes the next time.
    """
    found = [each for each in read(settings) if each.until <= now and _is_there(Path(each.local))]
    if not found:
        return []
    gone = superfluous(found, pgbackrest.info(settings), now, timedelta(days=settings.wal_days))
    if not gone:
        say(f"{len(found)} retired repositories stay: not all in use reach back {settings.wal_days} days yet")
    for each in [] if dry_run else gone:
        say(f"removing {each.local}: its key was retired and nothing needs it any more")
        take_away(settings, each)
    return [each.local for each in gone]


def read(settings: Settings) -> list[Retired]:
    """Raises :class:`BackupError`."""
    path = settings.keys_dir / RETIRED
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Retired])
    except (OSError, msgspec.MsgspecError) as error:
        raise BackupError(
            f"{path} cannot be read: {error}. Expected the list of retired repositories; write it anew with "
            "`remotegpu site deploy`."
        ) from error


def superfluous(found: Sequence[Retired], in_use: Stanza, now: datetime, window: timedelta) -> list[Retired]:
    """Those whose time is over; none while a repository in use reaches back less than ``window``. Pure."""
    reach_back = [
        any(backup.at <= now - window for backup in in_use.of(repository.key)) for repository in in_use.repo
    ]
    if not reach_back or not all(reach_back):
        return []
    return [each for each in found if each.until <= now]


def take_away(settings: Settings, each: Retired) -> None:
    """Off site first: as long as it is here, it is known. Raises :class:`BackupError`; then it can be done again."""
    _remove_offsite(settings, each)
    _remove_local(Path(each.local))


def _is_there(local: Path) -> bool:
    return any((local / part).exists() for part in PARTS)


def _remove_offsite(settings: Settings, each: Retired) -> None:
    if settings.offsite is None:
        return
    bucket = S3Bucket(settings.offsite.bucket)
    folders = tuple(f"{each.offsite.lstrip('/')}/{part}/" for part in PARTS)
    bucket.remove([listed.key for listed in bucket.listed() if listed.key.startswith(folders)])


def _remove_local(path: Path) -> None:
    """The folder stays where another repository lies in it."""
    try:
        for part in PARTS:
            if (path / part).exists():
                shutil.rmtree(path / part)
        if path.exists() and not any(path.iterdir()):
            path.rmdir()
    except OSError as error:
        raise BackupError(f"{path} cannot be removed: {error}") from error
