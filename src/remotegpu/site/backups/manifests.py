"""What a backup says of itself: ``manifest.json``. Written last; a folder without one is no backup."""

import secrets
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

import msgspec

from remotegpu.kit import files

FILE_NAME = "manifest.json"

Kind = Literal["database", "base", "redis", "objects"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class File(msgspec.Struct, kw_only=True, frozen=True):
    """``path`` is relative to the backup's folder."""

    path: str
    size: int
    sha256: str


class Figures(msgspec.Struct, kw_only=True, frozen=True):
    """What a table holds: ``checksum`` is of its rows whatever their order, see :mod:`.contents`."""

    rows: int
    checksum: str


class Grant(msgspec.Struct, kw_only=True, frozen=True):
    """``role``: empty for everybody."""

    role: str
    privilege: str
    grantable: bool


class RoleSetting(msgspec.Struct, kw_only=True, frozen=True):
    """``role``: empty for the database as such."""

    role: str
    name: str
    value: str


class Properties(msgspec.Struct, kw_only=True, frozen=True):
    """A database apart from what is in it. ``grants``: None where nothing was ever granted or revoked."""

    owner: str
    encoding: str
    provider: str
    collate: str
    ctype: str
    locale: str | None
    connection_limit: int
    grants: tuple[Grant, ...] | None
    settings: tuple[RoleSetting, ...]


class Database(msgspec.Struct, kw_only=True, frozen=True):
    """The snapshot that was dumped. ``size``: of the live database, in bytes. ``roles``: who owns or may something."""

    name: str
    snapshot_at: datetime
    lsn: str
    server_version: str
    superuser: str
    schema_revision: str
    size: int
    properties: Properties
    tables: dict[str, Figures]

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables.values())


class Base(msgspec.Struct, kw_only=True, frozen=True):
    """One backup of pgBackRest. ``repository_size``: bytes it takes there; ``size``: bytes it restores to."""

    label: str
    type: str
    repository: int
    size: int
    repository_size: int
    wal_start: str
    wal_stop: str


class Redis(msgspec.Struct, kw_only=True, frozen=True):
    """``aof``: whether the append-only file was copied too."""

    version: str
    aof: bool


class Objects(msgspec.Struct, kw_only=True, frozen=True):
    """One pass over the bucket. ``held_back``: vanished objects that the deletion guard kept as they were."""

    bucket: str
    objects: int
    size: int
    copied: int
    copied_size: int
    vanished: int
    held_back: int
    removed: int


class Manifest(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """``release``: what was deployed. ``tool``: version of this program. One of the last four is there: its kind's."""

    id: str
    kind: Kind
    site: str
    started_at: datetime
    finished_at: datetime
    duration_s: float
    why: str
    release: str
    tool: str
    files: tuple[File, ...] = ()
    database: Database | None = None
    base: Base | None = None
    redis: Redis | None = None
    objects: Objects | None = None

    @property
    def size(self) -> int:
        """Bytes the backup takes."""
        if self.base is not None:
            return self.base.repository_size
        if self.objects is not None:
            return self.objects.size
        return sum(file.size for file in self.files)


def new_id(now: datetime) -> str:
    """Sorts by time, and is never given twice."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def read(path: Path) -> Manifest | None:
    """The manifest in ``path``; None when there is none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError):
        return None


def write(path: Path, manifest: Manifest) -> None:
    """Durable when it returns."""
    files.write_private(path, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
