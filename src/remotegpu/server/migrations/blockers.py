"""Who keeps a session waiting for a lock: looked at from a second connection, while it waits."""

import threading
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine, TextClause, text
from sqlalchemy.exc import SQLAlchemyError

FIRST_LOOK_SECONDS = 0.2
"""Most locks are had at once; a second connection is made only for those that are not."""
LOOK_EVERY_SECONDS = 0.2

_BLOCKING = text(
    "SELECT pid, usename, application_name, state, extract(epoch FROM clock_timestamp() - xact_start)::int AS age "
    "FROM pg_stat_activity WHERE pid = ANY(pg_blocking_pids(:pid)) ORDER BY xact_start NULLS LAST"
)
_HOLDING = text(
    "SELECT a.pid, usename, application_name, state, extract(epoch FROM clock_timestamp() - backend_start)::int AS age "
    "FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE locktype = 'advisory' AND granted "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND objid = :lock AND objsubid = 1"
)


class Watch:
    """``with Watch(engine, pid) as watch``: afterwards ``watch.seen`` describes who blocked ``pid`` last."""

    def __init__(self, engine: Engine, pid: int) -> None:
        self.seen: tuple[str, ...] = ()
        self._engine = engine
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, name="lock-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        if self._done.wait(FIRST_LOOK_SECONDS):
            return
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                while True:
                    self.seen = blocking(connection, self._pid) or self.seen
                    if self._done.wait(LOOK_EVERY_SECONDS):
                        return
        except SQLAlchemyError as error:
            self.seen = self.seen or (f"unknown, because nobody could look: {type(error).__name__}",)


def blocking(connection: Connection, pid: int) -> tuple[str, ...]:
    """The sessions that ``pid`` waits for at this moment."""
    return _described(connection, _BLOCKING, pid=pid)


def holding(connection: Connection, lock: int) -> tuple[str, ...]:
    """The session that holds an advisory lock."""
    return _described(connection, _HOLDING, lock=lock)


def _described(connection: Connection, query: TextClause, **parameters: int) -> tuple[str, ...]:
    rows = connection.execute(query, parameters)
    return tuple(describe(row.pid, row.usename, row.application_name, row.state, row.age) for row in rows)


def describe(pid: int, role: str | None, application: str | None, state: str | None, age: int | None) -> str:
    """PostgreSQL hides state and age of other roles' sessions from a role without ``pg_read_all_stats``."""
    doing = f", {state}" if state else ""
    since = f" for {age} s" if age is not None else ""
    return f"session {pid} of role {role or 'unknown'} ({application or 'no name'}{doing}{since})"
