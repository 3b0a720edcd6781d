"""Putting a restored database in the place of the running one: two renames in one transaction, so both or none.

Renaming locks a database against new connections until the transaction ends, and waits for its sessions to go; those
are ended meanwhile from a second connection. So the fence is the lock itself: a crash at any point lifts it.
"""

import secrets
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime

import msgspec
import psycopg
from psycopg import sql

from remotegpu.site.backups import postgres
from remotegpu.site.backups.errors import BackupError, UsageError
from remotegpu.site.backups.settings import Settings
from remotegpu.site.backups.work import restoring

END_SESSIONS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = ANY(%s) AND pid <> pg_backend_pid()
"""
PAUSE_S = 0.05
BEFORE = "remotegpu_before_"
LOCK_TIMEOUT = "10s"


class Swapped(msgspec.Struct, kw_only=True, frozen=True):
    """``database`` is what was restored; ``before`` is what was there. Swapping ``before`` in again takes it back."""

    database: str
    before: str


def swap(settings: Settings, into: str, now: datetime) -> Swapped:
    """Make ``into`` the database of the site. Raises :class:`BackupError`; then everything is as it was."""
    current, before = settings.database, f"{BEFORE}{now:%Y%m%d_%H%M%S}_{secrets.token_hex(2)}"
    with (
        restoring(settings, f"putting {into} in the place of {current}", now),
        postgres.connection(settings.socket_dir, postgres.MAINTENANCE) as connected,
    ):
        for name in (current, into):
            if not postgres.exists(connected, name):
                raise UsageError(
                    f"found no database {name}, expected it; remotegpu backups restore --into makes one"
                )
        if into == current:
            raise UsageError(
                f"--into: found {into}, which is the site's database already, expected a restored one"
            )
        _rename(settings, connected, [(current, before), (into, current)])
    return Swapped(database=current, before=before)


def discard(settings: Settings, database: str, now: datetime) -> None:
    """Drop what a swap left behind. Raises :class:`UsageError` for any other database."""
    with (
        restoring(settings, f"discarding {database}", now),
        postgres.connection(settings.socket_dir, postgres.MAINTENANCE) as connected,
    ):
        if not database.startswith(BEFORE) or not postgres.exists(connected, database):
            raise UsageError(f"found {database}, expected one that a swap left behind: {BEFORE}…")
        postgres.drop(connected, database)


def _rename(settings: Settings, connected: psycopg.Connection, pairs: list[tuple[str, str]]) -> None:
    """Sessions are no longer ended when the transaction is: whoever waited for the new database keeps it."""
    try:
        with connected.transaction():
            connected.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT)))
            with _sessions_ending(settings, [old for old, _ in pairs]):
                for old, new in pairs:
                    connected.execute(
                        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                            sql.Identifier(old), sql.Identifier(new)
                        )
                    )
    except psycopg.Error as error:
        said = str(error).strip()
        raise BackupError(f"the databases could not be swapped and are as they were: {said}") from error


@contextmanager
def _sessions_ending(settings: Settings, databases: list[str]) -> Generator[None]:
    """Meanwhile, sessions in ``databases`` are ended as they come."""
    over = threading.Event()

    def work() -> None:
        with postgres.connection(settings.socket_dir, postgres.MAINTENANCE) as connected:
            while True:
                connected.execute(END_SESSIONS, [databases])
                if over.wait(PAUSE_S):
                    return

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
