"""Applies one revision: a short wait for its locks, again and again until a deadline, and all of it or nothing."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from remotegpu.server.migrations import grants, ledger
from remotegpu.server.migrations.blockers import Watch
from remotegpu.server.migrations.chain import Revision
from remotegpu.server.migrations.errors import MigrationError
from remotegpu.server.migrations.rendering import concurrent_indexes, sql_of, steps_of

CONTENTION = {"55P03", "40P01"}
"""lock_not_available, deadlock_detected: another attempt may succeed."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Seconds. ``lock``: how long one attempt waits for a lock, and all queries of the table behind it.

    ``lock_deadline``: how long a revision is attempted. ``statement``: longest statement.
    """

    lock: float = 1.0
    lock_deadline: float = 60.0
    statement: float = 900.0


@dataclass(frozen=True, kw_only=True)
class Session:
    """One run. ``connection`` holds the advisory lock; ``engine`` makes the one that looks for blockers.

    ``receiver``: the role that gets the application's rights. ``release``: who applies. ``tell``: progress, by lines.
    """

    engine: Engine
    connection: Connection
    pid: int
    scripts: ScriptDirectory
    receiver: str | None
    release: str
    limits: Limits
    tell: Callable[[str], None]
    now: Callable[[], float] = field(default=time.monotonic)
    sleep: Callable[[float], None] = field(default=time.sleep)


def apply(session: Session, revision: Revision) -> None:
    """Raises :class:`MigrationError` when it fails, or does not get its locks; a transactional one is undone then."""
    end = session.now() + session.limits.lock_deadline
    pause, seen = FIRST_PAUSE_SECONDS, ()
    while (blockers := _tried(session, revision)) is not None:
        seen = blockers or seen
        if session.now() >= end:
            why = f"got no lock within {session.limits.lock_deadline:g} s, because of {named(seen)}"
            raise _abandoned(session, revision, why, "wait for that session or end it, then migrate again")
        session.tell(f"{revision.name} waits for {named(seen)}; trying again")
        session.sleep(max(0.0, min(pause, end - session.now())))
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def _tried(session: Session, revision: Revision) -> tuple[str, ...] | None:
    """None once it is applied, else who kept the lock (nobody, when they were too quick to be seen)."""
    watch = Watch(session.engine, session.pid)
    try:
        with watch:
            _attempt(session, revision)
    except DBAPIError as error:
        session.connection.rollback()
        if sqlstate(error) in CONTENTION:
            return watch.seen
        raise _abandoned(session, revision, reason(error), "mend what the database names") from error
    return None


def _attempt(session: Session, revision: Revision) -> None:
    """One try: the migration, its grants, the version and the ledger's row commit together."""
    started = session.now()

    def record(*_: object, **__: object) -> None:
        grants.bring_in_line(session.connection, session.receiver)
        took = round((session.now() - started) * 1000)
        ledger.write(session.connection, revision, duration_ms=took, release=session.release)

    _drop_invalid_indexes(session, revision)
    _set_lock_timeout(session, revision)
    steps = steps_of(session.scripts, revision.name)
    with EnvironmentContext(Config(), session.scripts, fn=steps) as environment:
        environment.configure(
            connection=session.connection, transaction_per_migration=True, on_version_apply=record
        )
        with environment.begin_transaction():
            environment.run_migrations()
    session.connection.commit()


def _set_lock_timeout(session: Session, revision: Revision) -> None:
    """What runs concurrently waits in nobody's way, and for every old transaction: it may take the whole deadline."""
    limits = session.limits
    seconds = limits.lock if revision.transactional else max(limits.lock_deadline, limits.lock)
    session.connection.execute(
        text("SELECT set_config('lock_timeout', :value, false)"), {"value": f"{round(seconds * 1000)}ms"}
    )
    session.connection.commit()


def _drop_invalid_indexes(session: Session, revision: Revision) -> None:
    """What a failed concurrent build left behind would make the next attempt fail, or be taken for done."""
    if revision.transactional:
        return
    names = list(concurrent_indexes(sql_of(session.scripts, revision.name)))
    invalid = session.connection.scalars(
        text(
            "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE NOT indisvalid "
            "AND relname = ANY(:names) AND relnamespace = 'public'::regnamespace"
        ),
        {"names": names},
    ).all()
    session.connection.commit()
    quote = session.connection.dialect.identifier_preparer.quote
    for name in invalid:
        session.tell(f"dropping the invalid index {name}, which an attempt that failed left behind")
        with session.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS public.{quote(name)}"))


def _abandoned(session: Session, revision: Revision, why: str, remedy: str) -> MigrationError:
    """What happened, what holds now, what to do."""
    rest = "nothing of it was applied"
    if not revision.transactional:
        rest = "it runs outside a transaction: its statements before the failing one stay, and it can be run again"
        try:
            _drop_invalid_indexes(session, revision)
        except DBAPIError as error:
            rest += f"; an invalid index may be left until then ({reason(error)})"
    current = ledger.current(session.connection)
    session.connection.rollback()
    return MigrationError(
        f"migration {revision.name} failed: {why}; {rest}; the schema is at {current or 'nothing yet'}; "
        f"do next: {remedy}"
    )


def sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def reason(error: DBAPIError) -> str:
    """The database's own words, without the statement's parameters."""
    lines = str(error.orig).strip().splitlines()
    return " ".join(line.strip() for line in lines) or type(error).__name__


def named(seen: tuple[str, ...]) -> str:
    return " and ".join(seen) or "sessions that were gone before they could be seen"
