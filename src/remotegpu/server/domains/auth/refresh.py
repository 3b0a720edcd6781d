"""Refresh tokens: opaque, rotated at each use, kept in Redis as hashes, one *family* per sign-in.

Using a token that was already exchanged means that two parties hold it: the whole family is revoked. A short grace
covers two tabs, or a retried request, that refresh at the same moment: the next token is computed from the last one
and a secret of the family, so both get the same one and neither loses its session later.
"""

import base64
import hmac
import secrets
import time
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
if current == ARGV[1] then
  redis.call('SET', KEYS[2], current, 'EX', ARGV[4])
  redis.call('HSET', family, 'current', ARGV[2])
elseif current ~= ARGV[2] or redis.call('GET', KEYS[2]) ~= ARGV[1] then
  redis.call('DEL', family, KEYS[2])
  return 'reused'
end
redis.call('EXPIRE', family, ARGV[3])
return redis.call('HGET', family, 'user')
"""
"""ARGV: hash of the shown token, hash of its successor, lifetime and grace in seconds."""


@dataclass(frozen=True)
class Rotated:
    user_id: uuid.UUID
    family: str
    token: str


def _key(family: str) -> str:
    return f"refresh:{{{family}}}"


def _of_user(user_id: uuid.UUID) -> str:
    """Families of a user, scored by when they end, so that those long over are dropped."""
    return f"refresh-of:{user_id}"


async def start(redis: Redis, user_id: uuid.UUID, lifetime: int) -> Rotated:
    """A new family for a sign-in."""
    family, part = secrets.token_urlsafe(12), secrets.token_urlsafe(32)
    content = {
        "user": str(user_id),
        "current": secret_hash(part),
        "seed": secrets.token_hex(32),
    }
    async with redis.pipeline(transaction=True) as pipe:
        pipe.hset(_key(family), items=[part for pair in content.items() for part in pair])
        pipe.expire(_key(family), lifetime)
        await pipe.execute()
    await _remember(redis, user_id, family, lifetime)
    return Rotated(user_id, family, f"{family}.{part}")


async def rotate(redis: Redis, token: str, lifetime: int) -> Rotated:
    """Exchange a token for the next. Raises ``NotAuthenticatedError``: ``refresh_invalid`` or ``refresh_reused``."""
    family, _, part = token.partition(".")
    key = _key(family)
    seed = await redis.hget(key, "seed")  # pyright: ignore[reportGeneralTypeIssues] - redis-py types it as sync or async
    following = _successor(_text(seed or ""), part)
    answer = await redis.eval(  # pyright: ignore[reportGeneralTypeIssues] - same
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
    user_id = uuid.UUID(verdict)
    await _remember(redis, user_id, family, lifetime)
    return Rotated(user_id, family, f"{family}.{following}")


async def end(redis: Redis, family: str) -> uuid.UUID | None:
    """End one session. Returns whose it was; None when there was none any more."""
    user = await redis.hget(_key(family), "user")  # pyright: ignore[reportGeneralTypeIssues] - same
    await redis.delete(_key(family), f"{_key(family)}:previous")
    if user is None:
        return None
    user_id = uuid.UUID(_text(user))
    await redis.zrem(_of_user(user_id), family)
    return user_id


async def end_all(redis: Redis, user_id: uuid.UUID) -> None:
    """End every session of a user."""
    families = await redis.zrange(_of_user(user_id), 0, -1)
    keys = [_key(_text(family)) for family in families]
    if keys:
        await redis.delete(*keys, *(f"{key}:previous" for key in keys))
    await redis.delete(_of_user(user_id))


async def is_alive(redis: Redis, family: str) -> bool:
    """False once the family was ended: its access tokens are then refused too."""
    return bool(await redis.exists(_key(family)))


async def _remember(redis: Redis, user_id: uuid.UUID, family: str, lifetime: int) -> None:
    """List the family under its user for as long as it lives, which each rotation prolongs."""
    now = time.time()
    async with redis.pipeline(transaction=True) as pipe:
        pipe.zadd(_of_user(user_id), {family: now + lifetime})
        pipe.zremrangebyscore(_of_user(user_id), 0, now)
        pipe.expire(_of_user(user_id), lifetime)
        await pipe.execute()


def _successor(seed: str, part: str) -> str:
    digest = hmac.digest(seed.encode(), part.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
