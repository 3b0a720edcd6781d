"""Refresh tokens: opaque, rotated at each use, kept in Redis as hashes, one *family* per sign-in.

Using a token that was already exchanged means that two parties hold it: the whole family is revoked. A short grace
covers two tabs or a retried request refreshing at the same moment.
"""

import secrets
import uuid
from dataclasses import dataclass

from redis.asyncio import Redis

from remotegpu.kit.ids import secret_hash
from remotegpu.server.core.errors import NotAuthenticatedError

GRACE_SECONDS = 10

_ROTATE = """
local family = KEYS[1]
local current = redis.call('HGET', family, 'current')
if not current then return 'gone' end
local verdict = 'rotated'
if current ~= ARGV[1] then
  if redis.call('GET', KEYS[2]) ~= ARGV[1] then
    redis.call('DEL', family, KEYS[2])
    return 'reused'
  end
end
redis.call('SET', KEYS[2], current, 'EX', ARGV[4])
redis.call('HSET', family, 'current', ARGV[2])
redis.call('EXPIRE', family, ARGV[3])
return redis.call('HGET', family, 'user')
"""


@dataclass(frozen=True)
class Rotated:
    user_id: uuid.UUID
    family: str
    token: str


def _key(family: str) -> str:
    return f"refresh:{{{family}}}"


async def start(redis: Redis, user_id: uuid.UUID, lifetime: int) -> Rotated:
    """A new family for a sign-in."""
    family, part = secrets.token_urlsafe(12), secrets.token_urlsafe(32)
    async with redis.pipeline(transaction=True) as pipe:
        pipe.hset(_key(family), mapping={"user": str(user_id), "current": secret_hash(part)})
        pipe.expire(_key(family), lifetime)
        pipe.sadd(f"refresh-of:{user_id}", family)
        pipe.expire(f"refresh-of:{user_id}", lifetime)
        await pipe.execute()
    return Rotated(user_id, family, f"{family}.{part}")


async def rotate(redis: Redis, token: str, lifetime: int) -> Rotated:
    """Exchange a token for the next. Raises ``NotAuthenticatedError``: ``refresh_invalid`` or ``refresh_reused``."""
    family, _, part = token.partition(".")
    following = secrets.token_urlsafe(32)
    key = _key(family)
    answer = await redis.eval(  # pyright: ignore[reportGeneralTypeIssues] - redis-py types it as sync or async
        _ROTATE,
        2,
        key,
        f"{key}:previous",
        secret_hash(part),
        secret_hash(following),
        str(lifetime),
        str(GRACE_SECONDS),
    )
    verdict = _text(answer)
    if verdict == "gone":
        raise NotAuthenticatedError("the session has ended; sign in again", code="refresh_invalid")
    if verdict == "reused":
        raise NotAuthenticatedError(
            "this refresh token was used before, so the session was ended on all its devices; sign in again",
            code="refresh_reused",
        )
    return Rotated(uuid.UUID(verdict), family, f"{family}.{following}")


async def end(redis: Redis, family: str) -> None:
    await redis.delete(_key(family), f"{_key(family)}:previous")


async def end_all(redis: Redis, user_id: uuid.UUID) -> None:
    """End every session of a user."""
    families = await redis.smembers(f"refresh-of:{user_id}")  # pyright: ignore[reportGeneralTypeIssues] - same
    keys = [_key(_text(family)) for family in families]
    if keys:
        await redis.delete(*keys, *(f"{key}:previous" for key in keys))
    await redis.delete(f"refresh-of:{user_id}")


async def is_alive(redis: Redis, family: str) -> bool:
    """False once the family was ended: its access tokens are then refused too."""
    return bool(await redis.exists(_key(family)))


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
