"""Which server processes live. Sessions of those that do not are lost; agents are heard only by those that do."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from redis.exceptions import RedisError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from remotegpu.kit.clock import utc_now
from remotegpu.server.core.database import transaction
from remotegpu.server.core.services import Services
from remotegpu.server.domains.access import service

ALIVE_SECONDS = 12
BEAT_SECONDS = 3.0
MISSING_SECONDS = 6.0
"""An emptied Redis knows of nobody for a beat or two: only who is missing for longer is gone."""
RETRY_SECONDS = 1.0
GONE = "the server process that held it is gone"

log = structlog.get_logger()


@asynccontextmanager
async def announcing(services: Services) -> AsyncGenerator[None]:
    """Let the worker know that this process lives, and since when it hears agents without a break."""
    task = asyncio.create_task(_keep(services, utc_now()), name="announce-instance")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await _leave(services)


async def _keep(services: Services, started: datetime) -> None:
    forgotten, hears_since = False, started
    while True:
        try:
            if not await _has_database(services):
                hears_since = utc_now()
            elif not forgotten:
                await _lose_predecessors_sessions(services, started)
                forgotten = True
            await _beat(services, hears_since)
            await asyncio.sleep(BEAT_SECONDS)
        except Exception as error:  # noqa: BLE001 - whatever database or Redis raise: say it, go on trying
            log.warning("cannot announce this server process", error=str(error)[:300])
            await asyncio.sleep(RETRY_SECONDS)


async def _has_database(services: Services) -> bool:
    """Without it agents are turned away: their silence of that time says nothing about them."""
    try:
        async with services.sessions() as tx:
            await tx.execute(select(1))
    except (SQLAlchemyError, OSError) as error:
        log.warning("agents are not heard while the database is away", error=str(error)[:300])
        return False
    return True


async def _lose_predecessors_sessions(services: Services, started: datetime) -> None:
    """A process of the same name was here before, and ended without a word: its connections ended with it."""
    async with transaction(services.sessions) as tx:
        await service.lose_sessions_of(
            tx, services.settings.instance, before=started, reason="the server was restarted"
        )


def _key(services: Services) -> str:
    return f"instance:{services.settings.instance}"


async def _beat(services: Services, started: datetime) -> None:
    await services.redis.set(_key(services), str(started.timestamp()), ex=ALIVE_SECONDS)


async def _leave(services: Services) -> None:
    """Say so when this process ends on purpose; otherwise its word simply runs out."""
    try:
        await services.redis.delete(_key(services))
    except (RedisError, OSError) as error:
        log.warning("cannot sign off this server process", error=str(error)[:300])


@dataclass(frozen=True)
class Instance:
    """``silent_for``: seconds since its last beat, by the clock of Redis."""

    started: datetime
    silent_for: float


async def alive(services: Services) -> dict[str, Instance]:
    """Server processes heard of within seconds."""
    found: dict[str, Instance] = {}
    async for key in services.redis.scan_iter(match="instance:*", count=100):
        value, left = await services.redis.get(key), await services.redis.pttl(key)
        if value is not None:
            started = datetime.fromtimestamp(float(value), UTC)
            found[key.decode().removeprefix("instance:")] = Instance(started, ALIVE_SECONDS - left / 1000)
    return found


async def heard_for(services: Services) -> float:
    """For how many seconds agents have had a server process to speak to; 0 when there is none now."""
    present = [one for one in (await alive(services)).values() if one.silent_for < 2 * BEAT_SECONDS]
    return max(((utc_now() - one.started).total_seconds() for one in present), default=0.0)


class Missing:
    """Remembers since when processes with open sessions are missing. One per worker."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    async def lose_sessions(self, services: Services) -> None:
        """Sessions of server processes that are gone are lost."""
        known = await alive(services)
        async with services.sessions() as tx:
            missing = await service.instances_with_sessions(tx) - known.keys()
        now = time.monotonic()
        self._since = {name: self._since.get(name, now) for name in missing}
        for name, since in self._since.items():
            if now - since >= MISSING_SECONDS:
                async with transaction(services.sessions) as tx:
                    await service.lose_sessions_of(tx, name, before=utc_now(), reason=GONE)
