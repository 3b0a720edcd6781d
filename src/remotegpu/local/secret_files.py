"""The platform's secrets: random, made once, each in its own 0600 file."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from remotegpu.kit import files, private_keys
from remotegpu.local.errors import DataDirError

NAMES = (
    "db_superuser_password",
    "db_owner_password",
    "db_password",
    "redis_password",
    "s3_access_key",
    "s3_secret_key",
    "object_admin_password",
    "jwt_secret",
    "ssh_ca_key",
)

_KEPT_WITH_DATABASE = ("db_superuser_password", "jwt_secret", "ssh_ca_key")
"""Without these an existing database is of no use: they are never made anew beside one."""


@dataclass(frozen=True)
class Secrets:
    """``value`` reads one; ``path`` is what a ``NAME_FILE`` variable points at."""

    directory: Path

    def path(self, name: str) -> Path:
        return self.directory / name

    def value(self, name: str) -> str:
        return self.path(name).read_text(encoding="utf-8").strip()


def ensure(directory: Path, *, database_exists: bool) -> Secrets:
    """Make what is missing. Raises :class:`DataDirError` when a secret that an existing database needs is gone."""
    files.make_directory(directory)
    lost = [name for name in _KEPT_WITH_DATABASE if database_exists and not (directory / name).exists()]
    if lost:
        raise DataDirError(
            f"{directory} lacks {', '.join(lost)}, but the database beside it was made with them.\n"
            "Put the files back from a backup, or move the data directory away to start with an empty platform."
        )
    for name in NAMES:
        path = directory / name
        if not path.exists():
            files.write_private(path, _generate(name))
    return Secrets(directory)


def _generate(name: str) -> str:
    if name == "ssh_ca_key":
        return private_keys.new_ssh_key()
    if name == "s3_access_key":
        return secrets.token_hex(10).upper()
    return secrets.token_hex(32)
