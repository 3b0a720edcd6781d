"""Forgetting the keys of continuous backups that open nothing any more.

The ``backup`` container removes their repositories; only the command line on the node may change a secret.
"""

from datetime import datetime
from pathlib import Path

from remotegpu.site import backup_keys, secrets
from remotegpu.site.backup_keys import Key
from remotegpu.site.bundle.topology import DATABASE
from remotegpu.site.place import Place

PARTS = ("archive", "backup")


def forget(place: Place, now: datetime) -> list[str]:
    """Drop the lines of keys that are over and whose repository has gone. Returns the names of those repositories."""
    keys = backup_keys.ring(secrets.read(place.originals, backup_keys.NAME))
    over = [
        key for key in keys.retired if is_over(key, now) and not is_there(place.directory, str(key.local))
    ]
    if over:
        secrets.forget(place.originals, backup_keys.NAME, [backup_keys.line(key) for key in over])
    return [str(key.local) for key in over]


def is_over(key: Key, now: datetime) -> bool:
    return key.until is not None and key.until <= now


def is_there(directory: Path, local: str) -> bool:
    """Whether the repository at ``local``, as containers see it, holds anything. It goes after the one off site."""
    here = directory / local.lstrip("/")
    return any((here / part / DATABASE).exists() for part in PARTS)
