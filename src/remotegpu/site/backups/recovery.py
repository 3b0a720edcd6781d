"""The state of a moment: a base backup and the WAL up to then, in a scratch cluster."""

import re
from datetime import UTC, datetime

from remotegpu.kit.clock import utc_now
from remotegpu.site.backups import pgbackrest, postgres, scratch, wal
from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.scratch import Scratch
from remotegpu.site.backups.settings import Settings
from remotegpu.site.backups.work import Say, need_room

WAL_ROOM = 512 << 20
"""Bytes for WAL in flight during recovery."""
COMMIT = "SELECT pg_logical_emit_message(true, 'remotegpu', 'a moment to recover to')"
"""A transaction that changes nothing. Recovery stops at the first commit *after* the moment it is asked for."""
TOO_EARLY = "recovery ended before configured recovery target was reached"
NOT_FOUND = re.compile(r"unable to find (?P<segment>[0-9A-F]{24}) in the archive")
RECOVERED_TO = re.compile(r"last completed transaction was at log time (?P<at>\S+ \S+)")


def reachable(settings: Settings) -> None:
    """Bring everything that is committed now into the archive, and a commit after it."""
    with postgres.connection(settings.socket_dir, settings.database) as connected:
        connected.execute(COMMIT)
    pgbackrest.check(settings)


def need_inside(settings: Settings, at: datetime) -> None:
    """Raises :class:`BackupError` when ``at`` cannot be restored, or nothing can."""
    wal.need_inside(wal.window(pgbackrest.info_to_read(settings), utc_now()), at)


def restore(settings: Settings, place: Scratch, at: datetime | None, version: str, say: Say) -> None:
    """Make ``place`` a running copy of the cluster as it was at ``at``; None: at the end of the archive.

    Raises :class:`BackupError`.
    """
    stanza = pgbackrest.info_to_read(settings)
    span = wal.window(stanza, utc_now())
    if at is not None:
        wal.need_inside(span, at)
    size = max(backup.info.size for backup in stanza.backup)
    need_room(settings.scratch_dir, size + WAL_ROOM, "The restored cluster")
    say(f"restoring the cluster as it was at {at.isoformat() if at else 'the end of the archive'}")
    pgbackrest.checked(
        pgbackrest.command(
            settings,
            "restore",
            f"--pg1-path={place.data}",
            *target(at),
            "--archive-mode=off",
            f"--tablespace-map-all={place.folder / 'tablespaces'}",
            "--process-max=2",
            *pgbackrest.QUIET,
            env=pgbackrest.reading(settings),
        ),
        "the base backup cannot be restored",
    )
    say("replaying WAL")
    try:
        scratch.start(place, version, pgbackrest.reading(settings))
    except BackupError as error:
        log = place.log.read_text(encoding="utf-8", errors="replace") if place.log.exists() else ""
        raise BackupError(f"{explained(log)}{error}") from error


def reached(place: Scratch) -> datetime | None:
    """The last commit that was replayed; None where there was none after the base backup."""
    found = RECOVERED_TO.findall(place.log.read_text(encoding="utf-8", errors="replace"))
    return datetime.fromisoformat(found[-1]) if found else None


def target(at: datetime | None) -> tuple[str, ...]:
    """Options of pgBackRest. Pure."""
    if at is None:
        return ("--type=default",)
    moment = at.astimezone(UTC).isoformat(sep=" ", timespec="microseconds")
    return ("--type=time", f"--target={moment}", "--target-action=promote")


def explained(log: str) -> str:
    """Why a recovery ended too early, from PostgreSQL's log; empty when it ended for another reason. Pure."""
    if TOO_EARLY not in log:
        return ""
    missing = NOT_FOUND.findall(log)
    reached = RECOVERED_TO.findall(log)
    found = f"WAL segment {missing[-1]} is not in the archive" if missing else "the archive ends too early"
    until = f"the newest moment before the gap is {reached[-1]}" if reached else "nothing could be replayed"
    return f"{found}; {until}. Expected all WAL up to the moment asked for.\n"
