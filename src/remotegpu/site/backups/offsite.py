"""The second place: every dump and copy of Redis, encrypted, in a bucket elsewhere. pgBackRest has its own.

Nothing records what was sent: the bucket itself is looked at, so what an outage left out is made up for.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage

from remotegpu.kit import files
from remotegpu.site.backups import outcomes
from remotegpu.site.backups.buckets import S3Bucket
from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.manifests import FILE_NAME, Kind, Manifest
from remotegpu.site.backups.settings import OffsiteSettings, Settings
from remotegpu.site.backups.store import FOLDERS, Store
from remotegpu.site.backups.work import Say

SENT: tuple[Kind, ...] = ("database", "redis")
SUFFIX = ".age"
age: Any = pyrage  # Any: it ships no types
TEMPORARY = ".sending"
JOB = "offsite"


def sync(settings: Settings, found: Store, say: Say) -> list[str]:
    """Send what is not there yet; remove what was kept long enough. Returns the ids of the sent.

    Raises :class:`BackupError`.
    """
    if settings.offsite is None:
        return []
    with outcomes.recorded(settings.backup_dir, JOB):
        bucket = S3Bucket(settings.offsite.bucket)
        there = [each.key for each in bucket.listed()]
        missing = unsent(found.all(), there)
        for manifest in missing:
            say(f"sending {manifest.id} off site")
            _send(settings.offsite, bucket, found, manifest)
        bucket.remove(expired(there, datetime.now(UTC), timedelta(days=settings.keep_days)))
    return [manifest.id for manifest in missing]


def prefix(kind: Kind, backup: str) -> str:
    return f"{FOLDERS[kind]}/{backup}/"


def unsent(backups: Sequence[Manifest], there: Collection[str]) -> list[Manifest]:
    """Those whose manifest, which is sent last, is not in the bucket. Pure."""
    return [
        each
        for each in backups
        if each.kind in SENT and f"{prefix(each.kind, each.id)}{FILE_NAME}{SUFFIX}" not in there
    ]


def expired(there: Iterable[str], now: datetime, keep: timedelta) -> list[str]:
    """Keys of backups that were kept long enough; the newest of each kind always stays. Pure."""
    by_backup: dict[tuple[str, str], list[str]] = {}
    for key in there:
        folder, _, rest = key.partition("/")
        by_backup.setdefault((folder, rest.partition("/")[0]), []).append(key)
    newest = {folder: max(name for each, name in by_backup if each == folder) for folder, _ in by_backup}
    limit = f"{now - keep:%Y%m%dT%H%M%SZ}"
    return [
        key
        for (folder, name), keys in by_backup.items()
        if name != newest[folder] and name < limit and folder in {FOLDERS[kind] for kind in SENT}
        for key in keys
    ]


def _send(settings: OffsiteSettings, bucket: S3Bucket, found: Store, manifest: Manifest) -> None:
    """The manifest last: a backup that is there in part does not count as there."""
    folder = found.path(manifest)
    temporary = found.root / TEMPORARY
    files.make_directory(temporary.parent)
    try:
        for name in (*(file.path for file in manifest.files), FILE_NAME):
            encrypt(folder / name, temporary, settings.recipient)
            bucket.put(f"{prefix(manifest.kind, manifest.id)}{name}{SUFFIX}", temporary)
    finally:
        temporary.unlink(missing_ok=True)


def encrypt(source: Path, target: Path, recipient: str) -> None:
    """For whoever has the private key of ``recipient``. Raises :class:`BackupError`."""
    try:
        age.encrypt_file(str(source), str(target), [age.x25519.Recipient.from_str(recipient)])
    except (OSError, age.EncryptError, age.RecipientError) as error:
        raise BackupError(f"{source} cannot be encrypted for its way off site: {error}") from error
