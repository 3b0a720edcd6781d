"""``/health`` (alive), ``/health/ready`` (can serve), ``/metrics``."""

import asyncio
from collections.abc import Coroutine

import msgspec
from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from remotegpu import __version__
from remotegpu.server.core.errors import UnavailableError
from remotegpu.server.core.guards import PUBLIC
from remotegpu.server.core.services import Services
from remotegpu.server.migrations import readiness

CHECK_SECONDS = 3.0
OK = readiness.OK


class Health(msgspec.Struct, kw_only=True):
    status: str
    version: str
    instance: str


class Readiness(msgspec.Struct, kw_only=True):
    """``checks``: ``ok`` or what is wrong, by part."""

    ready: bool
    checks: dict[str, str]


@get("/health", guards=[PUBLIC], tags=["health"])
async def health(services: Services) -> Health:
    """The process lives."""
    return Health(status="ok", version=__version__, instance=services.settings.instance)


@get(
    "/health/ready",
    guards=[PUBLIC],
    tags=["health"],
    responses={
        503: ResponseSpec(Readiness, generate_examples=False, description="Something does not answer")
    },
)
async def ready(services: Services) -> Response[Readiness]:
    """The process can serve: database, cache and object store answer, and the schema fits this version."""
    database, schema, redis, objects = await asyncio.gather(
        _database(services), _schema(services), _redis(services), _objects(services)
    )
    checks: dict[str, str] = {"database": database, "schema": schema, "redis": redis, "objects": objects}
    is_ready = all(result == OK for result in checks.values())
    return Response(Readiness(ready=is_ready, checks=checks), status_code=200 if is_ready else 503)


@get("/metrics", guards=[PUBLIC], include_in_schema=False)
async def metrics() -> Response[bytes]:
    """Prometheus text format."""
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _database(services: Services) -> str:
    async def ask() -> str:
        async with services.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        return OK

    return await _answer(ask())


async def _schema(services: Services) -> str:
    async def ask() -> str:
        async with services.engine.connect() as connection:
            return await readiness.check(connection)

    return await _answer(ask())


async def _redis(services: Services) -> str:
    async def ask() -> str:
        await services.redis.ping()  # pyright: ignore[reportGeneralTypeIssues] - redis-py types it as sync or async
        return OK

    return await _answer(ask())


async def _objects(services: Services) -> str:
    async def ask() -> str:
        await services.objects.size("health/probe")
        return OK

    return await _answer(ask())


async def _answer(question: Coroutine[None, None, str]) -> str:
    """``ok`` or what is wrong, in bounded time: taking a question to a hanging database back takes it ten seconds."""
    asking = asyncio.create_task(question)
    done, _ = await asyncio.wait({asking}, timeout=CHECK_SECONDS)
    if not done:
        _abandon(asking)
        return f"no answer within {CHECK_SECONDS:g} s"
    try:
        return asking.result()
    except (SQLAlchemyError, RedisError, UnavailableError, OSError) as error:
        return f"does not answer: {type(error).__name__}"


_abandoned: set[asyncio.Task[str]] = set()


def _abandon(asking: asyncio.Task[str]) -> None:
    """Let it end on its own; whatever comes of it, nobody waits for it any more."""
    asking.cancel()
    _abandoned.add(asking)
    asking.add_done_callback(_forget)


def _forget(asking: asyncio.Task[str]) -> None:
    _abandoned.discard(asking)
    if not asking.cancelled():
        asking.exception()
