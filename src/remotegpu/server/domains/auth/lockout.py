"""Lockout after failed sign-ins, with back-off: per account and address, and (far later) per account."""

import hashlib

from redis.asyncio import Redis

from remotegpu.server.core.errors import TooManyRequestsError

FREE_FAILURES = 5
FREE_FAILURES_ANYWHERE = 50
"""One attacker must not lock somebody out everywhere, so the limit across addresses is ten times higher."""
FIRST_LOCK_SECONDS = 30
LONGEST_LOCK_SECONDS = 900
MEMORY_SECONDS = 3600


def lock_seconds(failures: int, free: int) -> int:
    """30 s after ``free`` failures, doubled by each further one, at most 15 minutes."""
    if failures < free:
        return 0
    return min(FIRST_LOCK_SECONDS * 2 ** min(failures - free, 10), LONGEST_LOCK_SECONDS)


def _keys(email: str, address: str) -> tuple[tuple[str, int], tuple[str, int]]:
    account = hashlib.sha256(email.encode()).hexdigest()[:32]
    return (f"signin:{account}:{address}", FREE_FAILURES), (f"signin:{account}", FREE_FAILURES_ANYWHERE)


async def check(redis: Redis, email: str, address: str) -> None:
    """Raise :class:`TooManyRequestsError` while the account is locked for this address."""
    for key, _free in _keys(email, address):
        left = await redis.ttl(f"{key}:lock")
        if left > 0:
            raise TooManyRequestsError(
                f"too many failed sign-ins; try again in {left} seconds", code="locked_out", retry_after=left
            )


async def failed(redis: Redis, email: str, address: str) -> None:
    """Count one failure and lock when it was one too many."""
    for key, free in _keys(email, address):
        failures = await redis.incr(key)
        await redis.expire(key, MEMORY_SECONDS)
        seconds = lock_seconds(failures, free)
        if seconds:
            await redis.set(f"{key}:lock", failures, ex=seconds)


async def succeeded(redis: Redis, email: str, address: str) -> None:
    """Forget the failures from this address."""
    (here, _), _ = _keys(email, address)
    await redis.delete(here, f"{here}:lock")
