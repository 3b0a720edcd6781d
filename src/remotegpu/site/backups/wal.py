"""How far the archive is behind the running database: what would be lost if its disk died now."""

from datetime import UTC, datetime

import msgspec
import psycopg

from remotegpu.site.backups import postgres
from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.pgbackrest import Stanza
from remotegpu.site.backups.settings import Settings

ARCHIVER = """
SELECT archived_count, last_archived_wal, last_archived_time, failed_count, last_failed_wal, last_failed_time,
       clock_timestamp(), pg_current_wal_lsn()::text, current_setting('archive_mode'),
       current_setting('archive_timeout'), current_setting('track_commit_timestamp') = 'on',
       (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'), pg_postmaster_start_time(),
       (SELECT setting::integer FROM pg_settings WHERE name = 'archive_timeout'),
       (SELECT setting::integer FROM pg_settings WHERE name = 'checkpoint_timeout')
FROM pg_stat_archiver
"""
LAST_COMMIT = "SELECT timestamp FROM pg_last_committed_xact()"


class WalStatus(msgspec.Struct, kw_only=True, frozen=True):
    """``lag_s``: the measured RPO, seconds between the first change that is not archived and now, 0 when all is.

    ``exact``: whether ``track_commit_timestamp`` lets the last change be known; without it the lag counts as if there
    had been changes ever since. ``waiting``: WAL segments that are full and not archived.
    ``failing``: the last attempt to archive failed.
    """

    at: datetime
    lsn: str
    archive_mode: str
    archive_timeout: str
    archived: int
    last_archived_wal: str
    last_archived_at: datetime | None
    failed: int
    last_failed_wal: str
    last_failed_at: datetime | None
    last_commit_at: datetime | None
    waiting: int
    failing: bool
    exact: bool
    lag_s: float


def status(settings: Settings) -> WalStatus:
    """Raises :class:`BackupError` when the database cannot be asked."""
    with postgres.connection(settings.socket_dir, postgres.MAINTENANCE) as connected:
        return of(connected)


def of(connected: psycopg.Connection) -> WalStatus:
    row = connected.execute(ARCHIVER).fetchone()
    assert row is not None  # the view has one row, always
    (
        archived,
        wal,
        archived_at,
        failed,
        bad,
        failed_at,
        now,
        lsn,
        mode,
        timeout,
        exact,
        waiting,
        started,
        timeout_s,
        asleep_s,
    ) = row
    last = connected.execute(LAST_COMMIT).fetchone() if exact else None
    commit = last[0] if last else None
    failing = is_failing(archived_at, failed_at)
    is_awake = (now - started).total_seconds() > asleep_s
    longest_s = float(timeout_s) if timeout_s and is_awake and not failing and not waiting else None
    return WalStatus(
        at=now.astimezone(UTC),
        lsn=lsn,
        archive_mode=mode,
        archive_timeout=timeout,
        archived=archived,
        last_archived_wal=wal or "",
        last_archived_at=_utc(archived_at),
        failed=failed,
        last_failed_wal=bad or "",
        last_failed_at=_utc(failed_at),
        last_commit_at=_utc(commit),
        waiting=waiting,
        failing=failing,
        exact=exact,
        lag_s=lag_s(now, archived_at or started, commit, exact=exact, longest_s=longest_s),
    )


def lag_s(
    now: datetime, archived_at: datetime, commit_at: datetime | None, *, exact: bool, longest_s: float | None
) -> float:
    """Seconds of work that the archive does not have. Pure.

    ``archived_at``: when a segment was archived last, or else the database started. A segment holds the commits until
    shortly before it was archived, so the count begins there.
    ``longest_s``: ``archive_timeout``, while nothing waits and nothing fails: a PostgreSQL that is awake looks that
    often whether there is something to archive (CheckArchiveTimeout in its checkpointer.c), so what it has is no older,
    however long nothing was written before.
    """
    if exact and (commit_at is None or commit_at <= archived_at):
        return 0.0
    counted = max(0.0, (now - archived_at).total_seconds())
    return round(counted if longest_s is None else min(counted, longest_s), 3)


def is_failing(archived_at: datetime | None, failed_at: datetime | None) -> bool:
    """Whether the latest attempt was a failure. Pure."""
    return failed_at is not None and (archived_at is None or failed_at > archived_at)


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment else None


def hand_over(settings: Settings) -> bool:
    """Begin a new segment when work has waited for longer than ``archive_timeout``. Whether it had to be done.

    PostgreSQL does so by itself, but for the time after a start: its checkpointer begins with a sleep of
    ``checkpoint_timeout``, since it decides how long while recovery still goes on (CheckpointerMain in checkpointer.c).
    """
    with postgres.connection(settings.socket_dir, postgres.MAINTENANCE) as connected:
        found = of(connected)
        timeout_s = postgres.text(connected, "SELECT setting FROM pg_settings WHERE name = 'archive_timeout'")
        if found.failing or found.waiting or not int(timeout_s) or found.lag_s <= int(timeout_s):
            return False
        connected.execute("SELECT pg_switch_wal()")
        return True


class Window(msgspec.Struct, kw_only=True, frozen=True):
    """Moments that can be restored."""

    oldest: datetime
    newest: datetime


def window(stanza: Stanza, newest: datetime) -> Window:
    """Pure. Raises :class:`BackupError` where there is no base backup at all."""
    backups = [backup.at for backup in stanza.backup]
    if not backups:
        raise BackupError(
            "found no base backup, expected at least one to restore a moment from: remotegpu backups run --kind base"
        )
    return Window(oldest=min(backups), newest=newest)


def need_inside(span: Window, at: datetime) -> None:
    """Raises :class:`BackupError` when ``at`` cannot be restored. Pure."""
    if span.oldest <= at <= span.newest:
        return
    side = "before the oldest" if at < span.oldest else "after the newest"
    raise BackupError(
        f"found {at.isoformat()}, which is {side} moment that can be restored; expected one from "
        f"{span.oldest.isoformat(timespec='seconds')} to {span.newest.isoformat(timespec='seconds')}"
    )
