"""The portable backup: ``pg_dump`` of one snapshot, the roles, and what every table holds in that very snapshot."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from remotegpu.site.backups import contents, postgres, programs
from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.manifests import Database, Figures
from remotegpu.site.backups.settings import Settings
from remotegpu.site.backups.work import Say, need_room
from remotegpu.site.runner import Command, CommandError, run

DUMP = "database.dump"
GLOBALS = "globals.sql"
COMPRESSION = "zstd:3"
"""A third of gzip's time for the same size; PostgreSQL 16 and later read it."""
SNAPSHOT = """
SELECT pg_export_snapshot(), clock_timestamp(), pg_current_wal_lsn()::text, current_setting('server_version'),
       pg_database_size(current_database()), (SELECT rolname FROM pg_roles WHERE oid = 10)
"""
"""10: the role that ``initdb`` makes, whatever it is called."""


def save(settings: Settings, folder: Path, expected: int, say: Say) -> Database:
    """Dump the database into ``folder``. ``expected``: bytes the last dump took. Raises :class:`BackupError`."""
    need_room(settings.backup_dir, expected, "The dump")
    with postgres.connection(settings.socket_dir, settings.database) as connected:
        connected.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connected.read_only = True
        with connected.transaction():
            row = connected.execute(SNAPSHOT).fetchone()
            assert row is not None  # it reads no table
            snapshot, at, lsn, version, size, superuser = row
            say(f"dumping {settings.database}, {size / (1 << 20):.0f} MiB")
            dump(settings, folder, snapshot=snapshot, version=version)
            say("counting and summing up every table")
            return Database(
                name=settings.database,
                snapshot_at=_utc(at),
                lsn=lsn,
                server_version=version.split(" ", maxsplit=1)[0],
                superuser=superuser,
                schema_revision=postgres.schema_revision(connected),
                size=size,
                properties=postgres.properties(connected, settings.database),
                tables=_measured(connected),
            )


def _measured(connected: psycopg.Connection) -> dict[str, Figures]:
    """In a thread, because only a thread can give way for a while."""
    with ThreadPoolExecutor(max_workers=1, initializer=programs.give_way) as background:
        return background.submit(contents.measure_gently, connected).result()


def dump(settings: Settings, folder: Path, *, snapshot: str, version: str) -> None:
    """Both files. Passwords of roles stay out: whoever restores gives new ones."""
    where = ("--host", settings.socket_dir, "--no-password")
    pg_dump, pg_dumpall = (programs.postgresql(name, version) for name in ("pg_dump", "pg_dumpall"))
    form = ("--format=custom", f"--compress={COMPRESSION}", f"--snapshot={snapshot}")
    commands = (
        (pg_dump, *where, *form, f"--file={folder / DUMP}", f"--dbname={settings.database}"),
        (pg_dumpall, *where, "--globals-only", "--no-role-passwords", f"--file={folder / GLOBALS}"),
    )
    for argv in commands:
        try:
            run(Command(argv=(*programs.GENTLY, *argv), timeout_s=programs.DAY_S))
        except CommandError as error:
            raise BackupError(f"the dump failed and is not kept: {error}") from error


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
