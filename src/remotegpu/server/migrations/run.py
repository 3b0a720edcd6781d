"""``remotegpu server migrate``: what is pending, and applying it, one run at a time."""

import os
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, pool, text
from sqlalchemy.exc import DBAPIError

from remotegpu import __version__
from remotegpu.kit.environment import Environment
from remotegpu.server.core.database import url
from remotegpu.server.migrations import applying, chain, grants, ledger, planning
from remotegpu.server.migrations.applying import Limits, Session
from remotegpu.server.migrations.blockers import holding
from remotegpu.server.migrations.chain import VERSIONS
from remotegpu.server.migrations.choosing import Run, chosen, pending
from remotegpu.server.migrations.errors import MigrationError
from remotegpu.server.migrations.rendering import config
from remotegpu.server.settings import DatabaseSettings, load_database

SAME_ROLE = (
    "warning: DB_OWNER_USER is not set to a role of its own, so the application owns its tables and the audit trail is "
    "protected by a trigger only, which an owner may drop; see docs/concepts/security.md"
)
MIGRATION_LOCK = 0x5247504D
"""Two runs at once: the second waits, finds nothing to do, and is content."""
LOOK_FOR_LOCK_SECONDS = 0.25


@dataclass(frozen=True, kw_only=True)
class Migrated:
    """``revision``: where the schema is now. ``applied``: what this run did."""

    revision: str
    applied: tuple[str, ...]


def tell(line: str) -> None:
    """Progress goes to standard error; the result alone is printed."""
    sys.stderr.write(line + "\n")


def upgrade(
    phase: Run = "all",
    *,
    limits: Limits | None = None,
    release: str = __version__,
    folders: Sequence[Path] = (VERSIONS,),
) -> Migrated:
    """Apply what is pending of ``phase``. Raises SettingsError, or :class:`MigrationError` saying what holds then."""
    limits = limits or Limits()
    settings = _settings()
    known = chain.read(folders)
    receiver = grants.receiver(settings)
    if receiver is None:
        tell(SAME_ROLE)
    with _database(settings, limits) as (engine, connection):
        _lock(connection, limits)
        todo = _todo(connection, known, phase)
        grants.bring_in_line(connection, receiver)
        connection.commit()
        session = Session(
            engine=engine,
            connection=connection,
            pid=_pid(connection),
            scripts=ScriptDirectory.from_config(config(folders)),
            receiver=receiver,
            release=release,
            limits=limits,
            tell=tell,
        )
        for revision in todo:
            tell(f"applying {revision.name}: {revision.summary}")
            applying.apply(session, revision)
        return Migrated(
            revision=ledger.current(connection) or "", applied=tuple(revision.name for revision in todo)
        )


def plan(phase: Run = "all", *, folders: Sequence[Path] = (VERSIONS,)) -> planning.Plan:
    """What :func:`upgrade` would do. Reads only."""
    known = chain.read(folders)
    with _database(_settings(), Limits()) as (_, connection):
        connection.execute(text("SET TRANSACTION READ ONLY"))
        entries = ledger.read(connection)
        ledger.require_unchanged(known, entries)
        current = ledger.current(connection)
    return planning.plan(known, entries, current, phase, ScriptDirectory.from_config(config(folders)))


def _settings() -> DatabaseSettings:
    environment = Environment(os.environ)
    settings = load_database(environment, migrating=True)
    environment.finish()
    return settings


@contextmanager
def _database(settings: DatabaseSettings, limits: Limits) -> Generator[tuple[Engine, Connection]]:
    """A connection of the owner's. What the database refuses, and nobody else explained, becomes one line."""
    options = (
        f"-c statement_timeout={round(limits.statement * 1000)} -c lock_timeout={round(limits.lock * 1000)} "
        "-c client_connection_check_interval=1s"  # a killed run must not go on holding its locks
    )
    engine = create_engine(
        url(settings, owner=True).update_query_dict({"application_name": "remotegpu migrate"}),
        poolclass=pool.NullPool,
        hide_parameters=True,
        connect_args={"connect_timeout": 10, "options": options},
    )
    try:
        with engine.connect() as connection:
            yield engine, connection
    except DBAPIError as error:
        raise MigrationError(
            f"the database refused: {applying.reason(error)}; expected the role {settings.owner_user} to reach "
            f"{settings.name} on {settings.host}:{settings.port} and to own its tables"
        ) from error


def _lock(connection: Connection, limits: Limits) -> None:
    """Asks again and again: a session that waits inside one statement would block concurrent index builds."""
    end = time.monotonic() + limits.lock_deadline
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK}):
        if time.monotonic() >= end:
            who = applying.named(holding(connection, MIGRATION_LOCK))
            raise MigrationError(
                f"another migration is at work: {who}; nothing was applied; wait for it, then migrate again"
            )
        connection.commit()
        time.sleep(LOOK_FOR_LOCK_SECONDS)
    connection.commit()


def _todo(connection: Connection, known: chain.Chain, phase: Run) -> tuple[chain.Revision, ...]:
    ledger.require_unchanged(known, ledger.read(connection))
    current = ledger.current(connection)
    connection.commit()
    return chosen(pending(known, current), phase)


def _pid(connection: Connection) -> int:
    pid = connection.scalar(text("SELECT pg_backend_pid()"))
    connection.commit()
    assert isinstance(pid, int)
    return pid
