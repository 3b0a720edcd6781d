"""Bringing a backup back: into a new database beside the running one, which nothing here touches.

The new database has a name that says it is not finished until everything was checked; what fails or is killed on the
way leaves nothing that could be mistaken for it.
"""

import secrets
from datetime import datetime
from pathlib import Path

import msgspec
import psycopg
from psycopg import sql

from remotegpu.kit.clock import utc_now
from remotegpu.site.backups import dumping, loading, postgres, programs, recovery, scratch, store
from remotegpu.site.backups.errors import BackupError, UsageError
from remotegpu.site.backups.loading import Expected
from remotegpu.site.backups.manifests import Database, Manifest, new_id
from remotegpu.site.backups.settings import Settings, database_name
from remotegpu.site.backups.store import Store
from remotegpu.site.backups.work import Say, need_room, restoring
from remotegpu.site.runner import Command, run

UNFINISHED = "remotegpu_restoring_"
GROWTH = 1.2
"""How much larger than the live database its copy may be while it is made."""


class Restored(msgspec.Struct, kw_only=True, frozen=True):
    """``moment``: the state it is in. ``backup``: empty for one restored by time."""

    into: str
    backup: str
    moment: datetime
    tables: int
    rows: int
    schema_revision: str
    duration_s: float


class Possible(msgspec.Struct, kw_only=True, frozen=True):
    """What a restore would bring. ``rows``: None for a moment, which nobody has counted."""

    backup: str
    moment: datetime | None
    rows: int | None


def look(settings: Settings, into: str, backup: str | None, at: datetime | None, say: Say) -> Possible:
    """Whether a restore has what it needs; nothing is changed. Raises :class:`BackupError`."""
    with postgres.connection(settings.socket_dir, postgres.MAINTENANCE) as connected:
        _need_free_name(connected, settings, into)
    if backup is None:
        if at is not None:
            recovery.need_inside(settings, at)
        return Possible(backup="", moment=at, rows=None)
    found = Store(settings.backup_dir)
    database = _sound(found, found.get(backup), say)
    need_room(settings.data_dir, int(GROWTH * database.size), "The restored database")
    return Possible(backup=backup, moment=database.snapshot_at, rows=database.rows)


def _sound(found: Store, manifest: Manifest, say: Say) -> Database:
    """What a backup holds, once it is known to be a whole one of the right kind."""
    if manifest.database is None:
        raise UsageError(f"found {manifest.id} to be of kind {manifest.kind}, expected one of kind database")
    need_whole(found, manifest, say)
    return manifest.database


def by_backup(settings: Settings, into: str, backup: str, say: Say) -> Restored:
    """Restore a dump. Raises :class:`BackupError`; then there is no ``into``."""
    began = utc_now()
    with restoring(settings, f"restoring of {backup} into {into}", began) as found:
        manifest = found.get(backup)
        database = _sound(found, manifest, say)
        expected = loading.of_manifest(database)
        dump = found.path(manifest) / dumping.DUMP
        with postgres.connection(settings.socket_dir, postgres.MAINTENANCE) as connected:
            _need_free_name(connected, settings, into)
            need_room(settings.data_dir, int(GROWTH * database.size), "The restored database")
            _fill(connected, settings, into=into, dump=dump, expected=expected, say=say)
    return _restored(into, backup, database.snapshot_at, expected, began)


def by_time(
    settings: Settings, into: str, at: datetime | None, say: Say, *, archived: bool = False
) -> Restored:
    """Restore the state of a moment; None: of the end of the archive.

    ``archived``: the archive is taken as it is, for a cluster that is lost; else the running one, which the archive is
    of, hands over everything up to now. Raises :class:`BackupError`; then there is no ``into``.
    """
    began = utc_now()
    with (
        restoring(settings, f"restoring of {at or 'the newest moment'} into {into}", began),
        postgres.connection(settings.socket_dir, postgres.MAINTENANCE) as connected,
    ):
        _need_free_name(connected, settings, into)
        version = postgres.text(connected, "SELECT current_setting('server_version')")
        if at is not None:
            recovery.need_inside(settings, at)
        if at is not None and not archived:
            recovery.reachable(settings)
        with scratch.space(settings, new_id(began)) as place:
            recovery.restore(settings, place, at, version, say)
            say("measuring what was restored")
            expected = loading.measured(place.socket, settings.database)
            reached = at or recovery.reached(place) or began
            dump = _transfer(settings, place, version)
            _fill(connected, settings, into=into, dump=dump, expected=expected, say=say)
    return _restored(into, "", reached, expected, began)


def need_whole(found: Store, manifest: Manifest, say: Say) -> None:
    """Raises :class:`BackupError` when a file of the backup is not what was written."""
    say(f"checking the files of {manifest.id}")
    damage = store.damage(found.path(manifest), manifest.files)
    if damage:
        raise BackupError(f"backup {manifest.id} is damaged, nothing was started: {'; '.join(damage)}")


def _need_free_name(connected: psycopg.Connection, settings: Settings, into: str) -> None:
    try:
        database_name(into)
    except ValueError as error:
        raise UsageError(f"--into: {error}") from None
    if into == settings.database or postgres.exists(connected, into):
        raise UsageError(f"--into: found database {into} to be there already, expected a new name")


def _transfer(settings: Settings, place: scratch.Scratch, version: str) -> Path:
    target = place.folder / "transfer"
    pg_dump = programs.postgresql("pg_dump", version)
    where = (f"--host={place.socket}", f"--dbname={settings.database}")
    form = ("--format=directory", f"--jobs={loading.JOBS}", "--compress=zstd:1", f"--file={target}")
    run(Command(argv=(pg_dump, *where, *form), timeout_s=programs.DAY_S))
    return target


def _fill(
    connected: psycopg.Connection, settings: Settings, *, into: str, dump: Path, expected: Expected, say: Say
) -> None:
    """Make, fill and check a database, and give it its name last."""
    for (left,) in connected.execute(
        "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [UNFINISHED]
    ).fetchall():
        postgres.drop(connected, left)
    unfinished = f"{UNFINISHED}{secrets.token_hex(4)}"
    version = postgres.text(connected, "SELECT current_setting('server_version')")
    try:
        postgres.create(connected, unfinished, expected.properties)
        say(f"filling {into}")
        loading.load(settings.socket_dir, unfinished, dump, version)
        with postgres.connection(settings.socket_dir, unfinished) as inside:
            postgres.apply(inside, unfinished, expected.properties)
            inside.execute("ANALYZE")
        say("comparing every table")
        problems = loading.problems(settings.socket_dir, unfinished, expected)
        if problems:
            raise BackupError("what was restored is not what was saved: " + "; ".join(problems))
        connected.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(unfinished), sql.Identifier(into))
        )
    except psycopg.Error as error:
        raise BackupError(f"{into} cannot be restored: {error}") from error
    finally:
        postgres.drop(connected, unfinished)


def _restored(into: str, backup: str, moment: datetime, expected: Expected, began: datetime) -> Restored:
    return Restored(
        into=into,
        backup=backup,
        moment=moment,
        tables=len(expected.tables),
        rows=sum(table.rows for table in expected.tables.values()),
        schema_revision=expected.schema_revision,
        duration_s=round((utc_now() - began).total_seconds(), 3),
    )
