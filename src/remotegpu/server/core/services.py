"""What a process of the server holds while it runs, in one place, handed to whoever needs it."""

from dataclasses import dataclass

from litestar.datastructures import State
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy.ext.asyncio import AsyncEngine

from remotegpu.server.core.database import Sessions, create_engine, session_factory
from remotegpu.server.core.hub import Hub
from remotegpu.server.core.objects import ObjectStore
from remotegpu.server.core.tokens import AccessTokens
from remotegpu.server.settings import RedisSettings, Settings

REDIS_ANSWER_SECONDS = 3.0
"""Every command of ours takes milliseconds; a server that is silent for longer hangs."""


@dataclass(frozen=True, kw_only=True)
class Services:
    settings: Settings
    engine: AsyncEngine
    sessions: Sessions
    redis: Redis
    hub: Hub
    objects: ObjectStore
    tokens: AccessTokens

    async def close(self) -> None:
        await self.hub.stop()
        await self.redis.aclose()
        await self.engine.dispose()


def open_redis(settings: RedisSettings) -> Redis:
    """A client that retries a restarting server for about a second, then raises. One that hangs is not asked again."""
    return Redis(
        host=settings.host,
        port=settings.port,
        db=settings.database,
        username=settings.user,
        password=settings.password,
        ssl=settings.tls,
        ssl_ca_certs=settings.ca_file or None,
        socket_connect_timeout=2,
        socket_timeout=REDIS_ANSWER_SECONDS,
        health_check_interval=15,
        retry=Retry(
            ExponentialBackoff(cap=0.4, base=0.05), retries=4, supported_errors=(RedisConnectionError,)
        ),
    )


def open_services(settings: Settings) -> Services:
    """Build everything; connections are made on first use."""
    engine = create_engine(settings.database)
    redis = open_redis(settings.redis)
    hub = Hub(redis, settings.instance, settings.redis.database)
    return Services(
        settings=settings,
        engine=engine,
        sessions=session_factory(engine, hub=hub),
        redis=redis,
        hub=hub,
        objects=ObjectStore(settings.objects),
        tokens=AccessTokens(settings.jwt_keys, settings.access_token_seconds),
    )


async def provide_services(state: State) -> Services:
    """Litestar dependency ``services``."""
    services = state["services"]
    assert isinstance(services, Services)
    return services
