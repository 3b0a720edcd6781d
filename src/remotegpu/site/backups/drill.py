"""The proof that the backups are worth something: restore them, compare, and measure how long it took.

Two drills in one. The newest dump goes into an empty cluster and is compared with its manifest. Then a marker is
written into the live database, and a cluster is restored to a moment right after it and before another one.
"""

from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic

import msgspec

from remotegpu.kit import files
from remotegpu.kit.clock import utc_now
from remotegpu.site.backups import dumping, loading, postgres, recovery, restoring, scratch, smoke, wal
from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.manifests import new_id
from remotegpu.site.backups.settings import Settings
from remotegpu.site.backups.store import Store
from remotegpu.site.backups.work import Say, need_room
from remotegpu.site.backups.work import restoring as holding

FOLDER = "drills"
SCHEMA = """
CREATE SCHEMA IF NOT EXISTS remotegpu_drill;
CREATE TABLE IF NOT EXISTS remotegpu_drill.markers (id text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
DELETE FROM remotegpu_drill.markers WHERE at < now() - interval '7 days';
"""
INSERT = "INSERT INTO remotegpu_drill.markers (id) VALUES (%s)"
MARKERS = "SELECT id FROM remotegpu_drill.markers WHERE starts_with(id, %s) ORDER BY id"
BEFORE, AFTER = "before", "after"
ROOM = 256 << 20
"""Bytes of an empty cluster and its WAL."""


class DumpDrill(msgspec.Struct, kw_only=True, frozen=True):
    """``restore_s``: until the data is there. ``check_s``: for comparing it."""

    backup: str
    tables: int
    rows: int
    restore_s: float
    check_s: float
    problems: tuple[str, ...]


class MomentDrill(msgspec.Struct, kw_only=True, frozen=True):
    """``restore_s``: until the restored cluster takes connections."""

    target: datetime
    restore_s: float
    check_s: float
    problems: tuple[str, ...]


class Drill(msgspec.Struct, kw_only=True, frozen=True):
    """``rto_s``: measured, of the slower way. ``rpo_s``: what the archive lacked when the drill began, in seconds.

    ``error``: why it could not be carried out; ``problems`` of a part: what was not as it has to be.
    """

    id: str
    started_at: datetime
    finished_at: datetime
    passed: bool
    rto_s: float | None
    rpo_s: float | None
    dump: DumpDrill | None
    moment: MomentDrill | None
    error: str

    @property
    def reasons(self) -> list[str]:
        """Everything that kept it from passing."""
        parts = [part.problems for part in (self.dump, self.moment) if part is not None]
        return [*(problem for part in parts for problem in part), *([self.error] if self.error else [])]


def drill(settings: Settings, say: Say) -> Drill:
    """Carry it out and write down the result, good or bad. The scratch space is empty again at the end."""
    began = utc_now()
    name = new_id(began)
    dump: DumpDrill | None = None
    moment: MomentDrill | None = None
    rpo: float | None = None
    error = ""
    with holding(settings, "restore drill", began) as found:
        try:
            rpo = wal.status(settings).lag_s
            dump = _dump(settings, found, name, say)
            moment = _moment(settings, name, say)
        except BackupError as failure:
            error = str(failure)
    times = [part.restore_s for part in (dump, moment) if part is not None]
    result = Drill(
        id=name,
        started_at=began,
        finished_at=utc_now(),
        passed=not error
        and dump is not None
        and moment is not None
        and not (dump.problems or moment.problems),
        rto_s=max(times) if times else None,
        rpo_s=rpo,
        dump=dump,
        moment=moment,
        error=error,
    )
    write(settings.backup_dir, result)
    return result


def _dump(settings: Settings, found: Store, name: str, say: Say) -> DumpDrill:
    manifest = found.newest("database")
    if manifest is None or manifest.database is None:
        raise BackupError("found no dump, expected one to restore: remotegpu backups run --kind database")
    restoring.need_whole(found, manifest, say)
    database, folder = manifest.database, found.path(manifest)
    version = database.server_version
    need_room(settings.scratch_dir, int(database.size * restoring.GROWTH) + ROOM, "The drill")
    say(f"restoring dump {manifest.id} into a cluster of its own")
    with scratch.space(settings, f"{name}-dump") as place:
        scratch.initialise(place, version, database.superuser)
        began = monotonic()
        scratch.start(place, version)
        loading.load_globals(place.socket, folder / dumping.GLOBALS, database.superuser, version)
        with postgres.connection(place.socket, postgres.MAINTENANCE) as connected:
            postgres.create(connected, database.name, database.properties)
        loading.load(place.socket, database.name, folder / dumping.DUMP, version)
        with postgres.connection(place.socket, database.name) as inside:
            postgres.apply(inside, database.name, database.properties)
        restored = monotonic()
        say("comparing every table")
        problems = loading.problems(place.socket, database.name, loading.of_manifest(database))
        with postgres.connection(place.socket, database.name) as connected:
            problems += smoke.problems(connected)
        return DumpDrill(
            backup=manifest.id,
            tables=len(database.tables),
            rows=database.rows,
            restore_s=round(restored - began, 3),
            check_s=round(monotonic() - restored, 3),
            problems=tuple(problems),
        )


def _moment(settings: Settings, name: str, say: Say) -> MomentDrill:
    say("writing markers")
    target, version = _mark(settings, name)
    recovery.reachable(settings)
    with scratch.space(settings, f"{name}-moment") as place:
        began = monotonic()
        recovery.restore(settings, place, target, version, say)
        restored = monotonic()
        say("looking for the marker")
        with postgres.connection(place.socket, settings.database) as connected:
            found = [row[0] for row in connected.execute(MARKERS, [name]).fetchall()]
            problems = wrong_markers(name, found) + smoke.problems(connected)
        problems += smoke.structure(place, settings.database, version)
        return MomentDrill(
            target=target,
            restore_s=round(restored - began, 3),
            check_s=round(monotonic() - restored, 3),
            problems=tuple(problems),
        )


def _mark(settings: Settings, name: str) -> tuple[datetime, str]:
    """A marker, the moment to restore to, another marker. Also returns the server's version."""
    with postgres.connection(settings.socket_dir, settings.database) as connected:
        connected.execute(SCHEMA)
        connected.execute(INSERT, [f"{name}-{BEFORE}"])
        row = connected.execute("SELECT clock_timestamp(), current_setting('server_version')").fetchone()
        assert row is not None  # it reads no table
        connected.execute(INSERT, [f"{name}-{AFTER}"])
        return row[0], row[1]


def wrong_markers(name: str, found: list[str]) -> list[str]:
    """What is wrong with the markers in the restored cluster. Pure."""
    problems: list[str] = []
    if f"{name}-{BEFORE}" not in found:
        problems.append("the marker written before the moment is missing: committed work was lost")
    if f"{name}-{AFTER}" in found:
        problems.append("the marker written after the moment is there: the restore went too far")
    return problems


def write(root: Path, result: Drill) -> None:
    files.make_directory(root / FOLDER)
    content = msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"
    files.write_private(root / FOLDER / f"{result.id}.json", content)


def results(root: Path) -> list[Drill]:
    """Oldest first; what cannot be read counts as not written."""
    found: list[Drill] = []
    for path in sorted((root / FOLDER).glob("*.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Drill))
        except msgspec.MsgspecError:
            continue
    return found


def last_passed_age(drills: list[Drill], now: datetime) -> timedelta | None:
    """How long ago one passed. Pure."""
    passed = [each.finished_at for each in drills if each.passed]
    return now - max(passed) if passed else None
