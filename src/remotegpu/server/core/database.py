"""The database: engine, declarative base, and the one commit point of a request.

Work that must happen after the commit and only then (wake-ups, events) is registered with :func:`after_commit`.
"""

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, ClassVar

import structlog
from sqlalchemy import BigInteger, DateTime, MetaData, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from remotegpu.server.settings import DatabaseSettings

POOL_SIZE = 10
STATEMENT_TIMEOUT_MS = 15_000
LOCK_TIMEOUT_MS = 5_000
TCP_TIMEOUT_MS = 15_000
"""How long sent data may stay unacknowledged: a database behind a dead link must not hold requests for minutes."""

_AFTER_COMMIT = "remotegpu_after_commit"

log = structlog.get_logger()

Sessions = async_sessionmaker[AsyncSession]
Action = Callable[[], Awaitable[None] | None]


class Base(DeclarativeBase):
    """Declarative base. Constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {  # Any: SQLAlchemy's own signature
        datetime: DateTime(timezone=True),
        uuid.UUID: Uuid(),
        dict[str, Any]: JSONB,
        dict[str, str]: JSONB,
        list[str]: JSONB,
        list[int]: JSONB,
        int: BigInteger,
    }


def url(settings: DatabaseSettings, *, owner: bool = False) -> URL:
    """SQLAlchemy URL of the application role, or of the owner role for migrations."""
    return URL.create(
        "postgresql+psycopg",
        username=settings.owner_user if owner else settings.user,
        password=settings.owner_password if owner else settings.password,
        host=settings.host,
        port=settings.port,
        database=settings.name,
        query={"sslmode": settings.sslmode, "application_name": "remotegpu"},
    )


def create_engine(settings: DatabaseSettings) -> AsyncEngine:
    """Pooled engine. ``pre_ping`` hides a restarted PostgreSQL; timeouts bound every statement and lock."""
    return create_async_engine(
        url(settings),
        pool_size=POOL_SIZE,
        max_overflow=10,
        pool_timeout=10,
        pool_pre_ping=True,
        hide_parameters=True,  # they hold addresses and hashes, and errors go to the log
        connect_args={
            "connect_timeout": 5,
            "tcp_user_timeout": TCP_TIMEOUT_MS,
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS}"
            " -c idle_in_transaction_session_timeout=30000",
        },
    )


def session_factory(engine: AsyncEngine, **info: object) -> Sessions:
    """Sessions of ``engine``; ``info`` (such as the hub) is found in ``session.info``."""
    return async_sessionmaker(engine, expire_on_commit=False, info=dict(info))


def after_commit(session: AsyncSession, action: Action) -> None:
    """Run ``action`` once this session's transaction has committed; never when it rolls back."""
    session.info.setdefault(_AFTER_COMMIT, []).append(action)


@asynccontextmanager
async def transaction(sessions: Sessions) -> AsyncGenerator[AsyncSession]:
    """One session, one commit at the end, then the after-commit actions. An exception rolls back and drops them."""
    async with sessions() as session:
        yield session
        await session.commit()
        actions: list[Action] = session.info.pop(_AFTER_COMMIT, [])
    for action in actions:
        await _run(action)


async def _run(action: Action) -> None:
    """What is committed stays so: an action that fails is logged, and keeps neither the others nor the answer back."""
    try:
        pending = action()
        if pending is not None:
            await pending
    except Exception as error:
        log.exception("an action after a commit failed", error=str(error))
