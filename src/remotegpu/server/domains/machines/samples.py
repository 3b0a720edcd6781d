"""Live figures: the latest and an hour of history per machine, in Redis. Losing them loses a picture, not a fact."""

import uuid
from collections.abc import Iterable

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from remotegpu.protocol.inventory import HostSample

LATEST_SECONDS = 180
HISTORY_SECONDS = 3600
HISTORY_ITEMS = 720
"""One hour at one sample in five seconds."""
MIN_SPACING_SECONDS = 5.0
WATCH_SECONDS = 30
AT_ONCE = 50
"""Machines in one round trip: packing the commands of a whole fleet would hold up everything else for 100 ms."""

log = structlog.get_logger()

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(HostSample)


async def store(redis: Redis, samples: dict[uuid.UUID, HostSample], in_history: Iterable[uuid.UUID]) -> None:
    """Write them, some in each round trip. ``in_history``: machines whose last stored point is old enough."""
    history, left = set(in_history), list(samples.items())
    for start in range(0, len(left), AT_ONCE):
        async with redis.pipeline(transaction=False) as pipe:
            for machine_id, sample in left[start : start + AT_ONCE]:
                body = _encoder.encode(sample)
                pipe.set(f"sample:{machine_id}", body, ex=LATEST_SECONDS)
                if machine_id in history:
                    pipe.lpush(f"samples:{machine_id}", body)
                    pipe.ltrim(f"samples:{machine_id}", 0, HISTORY_ITEMS - 1)
                    pipe.expire(f"samples:{machine_id}", HISTORY_SECONDS)
            await pipe.execute()


async def latest(redis: Redis, machine_ids: list[uuid.UUID]) -> dict[uuid.UUID, HostSample]:
    """The latest figures of those machines that have some."""
    if not machine_ids:
        return {}
    try:
        bodies = await redis.mget([f"sample:{machine_id}" for machine_id in machine_ids])
    except RedisError as error:
        log.warning("no live figures", error=str(error))
        return {}
    return {
        machine_id: _decoder.decode(body)
        for machine_id, body in zip(machine_ids, bodies, strict=True)
        if body
    }


async def history(redis: Redis, machine_id: uuid.UUID, since: float, points: int) -> list[HostSample]:
    """Figures since ``since`` (epoch seconds), oldest first, thinned to about ``points``."""
    bodies = await redis.lrange(f"samples:{machine_id}", 0, HISTORY_ITEMS - 1)  # pyright: ignore[reportGeneralTypeIssues] - redis-py types it as sync or async
    items = [sample for sample in map(_decoder.decode, bodies) if sample.taken_at >= since]
    step = max(1, len(items) // points)
    return items[::step][::-1]


async def watch(redis: Redis, machine_id: uuid.UUID, customer_id: uuid.UUID | None) -> None:
    """Somebody of ``customer_id`` (None: an admin) looks at this machine: sample it often for a while."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.hset(f"watch:{machine_id}", str(customer_id or ""), "1")
        pipe.expire(f"watch:{machine_id}", WATCH_SECONDS)
        await pipe.execute()


async def watchers(redis: Redis, machine_ids: list[uuid.UUID]) -> dict[uuid.UUID, list[str]]:
    """Customers (empty text: admins) that look at machines, for those that are looked at."""
    answers: list[list[bytes]] = []
    for start in range(0, len(machine_ids), AT_ONCE):
        async with redis.pipeline(transaction=False) as pipe:
            for machine_id in machine_ids[start : start + AT_ONCE]:
                pipe.hkeys(f"watch:{machine_id}")
            answers += await pipe.execute()
    return {
        machine_id: [name.decode() for name in names]
        for machine_id, names in zip(machine_ids, answers, strict=True)
        if names
    }


async def is_watched(redis: Redis, machine_id: uuid.UUID) -> bool:
    """Whether somebody looks. When Redis does not answer nobody does: work for the machine must not wait for that."""
    try:
        return bool(await redis.exists(f"watch:{machine_id}"))
    except RedisError as error:
        log.warning("cannot see who looks at a machine", error=str(error))
        return False
