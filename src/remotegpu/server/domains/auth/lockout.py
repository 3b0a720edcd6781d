"""Lockout after failed sign-ins, with back-off: per account and address, and (far later) per account.

An address from which the account was signed in to lately is spared the second: strangers cannot lock its owner out.
"""

import hashlib

from redis.asyncio import Redis

from remotegpu.server.core.errors import TooManyRequestsError

FREE_FAILURES = 5
FREE_FAILURES_ANYWHERE = 50
"""One attacker must not lock somebody out everywhere, so the limit across addresses is ten times higher."""
FIRST_LOCK_SECONDS = 30
LONGEST_LOCK_SECONDS = 900
MEMORY_SECONDS = 3600
TRUST_SECONDS = 30 * 86_400
"""How long an address counts as the owner's after a right password came from it."""


def lock_seconds(failures: int, free: int) -> int:
    """30 s after ``free`` failures, doubled by each further one, at most 15 minutes."""
    if failures < free:
        return 0
    return min(FIRST_LOCK_SECONDS * 2 ** min(failures - free, 10), LONGEST_LOCK_SECONDS)


def _keys(email: str, address: str) -> tuple[str, str]:
    """Where failures are counted: from this address, and from anywhere."""
    account = hashlib.sha256(email.encode()).hexdigest()[:32]
    return f"signin:{account}:{address}", f"signin:{account}"


async def check(redis: Redis, email: str, address: str) -> None:
    """Raise :class:`TooManyRequestsError` while the account is locked for this address."""
    here, anywhere = _keys(email, address)
    async with redis.pipeline(transaction=False) as pipe:
        pipe.ttl(f"{here}:lock")
        pipe.ttl(f"{anywhere}:lock")
        pipe.exists(f"{here}:trusted")
        locked_here, locked_anywhere, trusted = await pipe.execute()
    left = max(locked_here, 0 if trusted else locked_anywhere)
    if left > 0:
        raise TooManyRequestsError(
            f"too many failed sign-ins; try again in {left} seconds", code="locked_out", retry_after=left
        )


async def failed(redis: Redis, email: str, address: str) -> None:
    """Count one failure and lock when it was one too many."""
    here, anywhere = _keys(email, address)
    for key, free in ((here, FREE_FAILURES), (anywhere, FREE_FAILURES_ANYWHERE)):
        failures = await redis.incr(key)
        await redis.expire(key, MEMORY_SECONDS)
        seconds = lock_seconds(failures, free)
        if seconds:
            await redis.set(f"{key}:lock", failures, ex=seconds)


async def succeeded(redis: Redis, email: str, address: str) -> None:
    """Forget the failures from this address, and trust it for a while."""
    here, _ = _keys(email, address)
    async with redis.pipeline(transaction=True) as pipe:
        pipe.delete(here, f"{here}:lock")
        pipe.set(f"{here}:trusted", "1", ex=TRUST_SECONDS)
        await pipe.execute()
