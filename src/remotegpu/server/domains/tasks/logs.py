"""Task logs: whole segments in the object store, the end of a running log buffered in Redis.

The agent's own file is the source of truth until the final push was stored, so the buffer may be lost: the next push
is then answered with the offset to go on from. A segment that begins at ``base`` is buffered under a key with ``base``
in it and stored under a name with ``base`` in it, so that no step of moving it from one to the other can tear.
"""

import asyncio
import codecs
import uuid
from collections.abc import AsyncIterator

import msgspec
from redis.asyncio import Redis
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.protocol.attempts import LOG_CHUNK_BYTES, LogAck
from remotegpu.server.core.database import Sessions, transaction
from remotegpu.server.core.errors import ConflictError, NotFoundError
from remotegpu.server.core.hub import Message
from remotegpu.server.core.services import Services
from remotegpu.server.domains.tasks.models import Attempt, Task

BUFFER_SECONDS = 7 * 86_400
WAIT_SECONDS = 10.0
"""A follower looks again after this long even when no wake-up came."""

_APPEND = """
local length = redis.call('STRLEN', KEYS[1])
if length ~= tonumber(ARGV[1]) then return length end
length = redis.call('APPEND', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return length
"""


class LogPosition(msgspec.Struct, kw_only=True, frozen=True):
    """What is known of an attempt's log: ``stored`` bytes in the object store, more in the buffer unless ``final``."""

    task_id: uuid.UUID
    attempt_id: uuid.UUID
    stored: int
    final: bool
    state: str


def _segment(position: LogPosition, base: int) -> str:
    return f"logs/{position.task_id}/{position.attempt_id}/{base:015d}"


def _buffer(attempt_id: uuid.UUID, base: int) -> str:
    return f"log:{attempt_id}:{base}"


async def _position(
    sessions: Sessions, attempt_id: uuid.UUID, machine_id: uuid.UUID | None = None
) -> LogPosition:
    query = select(Attempt.task_id, Attempt.log_stored, Attempt.log_final, Attempt.state).where(
        Attempt.id == attempt_id
    )
    if machine_id is not None:
        query = query.where(Attempt.machine_id == machine_id)
    async with sessions() as tx:
        row = (await tx.execute(query)).first()
    if row is None:
        raise NotFoundError(f"there is no attempt {attempt_id} on this machine")
    return LogPosition(task_id=row[0], attempt_id=attempt_id, stored=row[1], final=row[2], state=row[3])


async def push(
    services: Services, machine_id: uuid.UUID, attempt_id: uuid.UUID, offset: int, body: bytes, *, final: bool
) -> LogAck:
    """Store ``body`` at ``offset`` if that is where the log ends; else say where it does."""
    position = await _position(services.sessions, attempt_id, machine_id)
    if position.state == "lost":
        raise ConflictError("this attempt lost its lease; stop it and forget it", code="attempt_lost")
    if position.final:
        return LogAck(next_offset=position.stored, accepted=offset + len(body) == position.stored)
    stored, rest = position.stored, body
    room = LOG_CHUNK_BYTES - (offset - stored)
    if not 0 < room <= LOG_CHUNK_BYTES:
        return LogAck(
            next_offset=stored + await services.redis.strlen(_buffer(attempt_id, stored)), accepted=False
        )
    length = await _append(services.redis, attempt_id, stored, offset - stored, rest[:room])
    if length != offset - stored + len(rest[:room]):
        return LogAck(next_offset=stored + length, accepted=False)
    if length == LOG_CHUNK_BYTES:
        stored = await _store_segment(services, position, stored, final=False)
        rest = rest[room:]
        if rest:
            await _append(services.redis, attempt_id, stored, 0, rest)
    if final:
        await _store_segment(services, position, stored, final=True)
    services.hub.publish("log", str(attempt_id))
    return LogAck(next_offset=offset + len(body), accepted=True)


async def _append(redis: Redis, attempt_id: uuid.UUID, base: int, at: int, body: bytes) -> int:
    key = _buffer(attempt_id, base)
    return int(await redis.eval(_APPEND, 1, key, str(at), body, str(BUFFER_SECONDS)))  # pyright: ignore[reportGeneralTypeIssues,reportArgumentType] - redis-py types


async def _store_segment(services: Services, position: LogPosition, base: int, *, final: bool) -> int:
    """Move the buffer at ``base`` into the object store. Returns the new end of what is stored."""
    key = _buffer(position.attempt_id, base)
    body = _bytes(await services.redis.get(key))
    if body:
        await services.objects.put(_segment(position, base), body)
    end = base + len(body)
    async with transaction(services.sessions) as tx:
        await tx.execute(
            update(Attempt)
            .where(
                Attempt.id == position.attempt_id, Attempt.log_stored == base, Attempt.log_final.is_(False)
            )
            .values(log_stored=end, log_final=final)
        )
    await services.redis.delete(key)
    return end


async def read(services: Services, attempt_id: uuid.UUID, offset: int) -> tuple[bytes, LogPosition]:
    """Bytes from ``offset`` up to the end of their segment; empty at the end of what there is."""
    position = await _position(services.sessions, attempt_id)
    if offset < position.stored:
        base = offset - offset % LOG_CHUNK_BYTES
        body = await services.objects.get(_segment(position, base))
        return body[offset - base :], position
    if position.final:
        return b"", position
    start = offset - position.stored
    body = await services.redis.getrange(
        _buffer(attempt_id, position.stored), start, start + LOG_CHUNK_BYTES - 1
    )
    return _bytes(body), position


async def whole(services: Services, attempt_id: uuid.UUID, offset: int) -> AsyncIterator[bytes]:
    """Everything there is from ``offset`` on, now."""
    while True:
        body, _ = await read(services, attempt_id, offset)
        if not body:
            return
        offset += len(body)
        yield body


class LogChunk(msgspec.Struct, kw_only=True):
    """``text`` is UTF-8 with replacement; offsets count bytes."""

    offset: int
    text: str
    next_offset: int


class LogEnd(msgspec.Struct, kw_only=True):
    state: str
    exit_code: int | None
    truncated: bool


async def follow(services: Services, attempt_id: uuid.UUID, offset: int) -> AsyncIterator[LogChunk | None]:
    """Chunks from ``offset`` as they arrive, until the log is final. None: nothing new for a while (keep alive)."""
    woken = asyncio.Event()

    def wake(_message: Message) -> None:
        woken.set()

    with services.hub.listening("log", str(attempt_id), wake):
        while True:
            woken.clear()
            body, position = await read(services, attempt_id, offset)
            ended = position.final and offset + len(body) >= position.stored
            text, used = decode(body, final=ended)
            if used:
                yield LogChunk(offset=offset, text=text, next_offset=offset + used)
                offset += used
            if ended or (position.state == "lost" and not body):
                return
            if not used and not await woken_within(woken, WAIT_SECONDS):
                yield None


async def woken_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for ``event``; False when it did not come in time."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


def decode(body: bytes, *, final: bool) -> tuple[str, int]:
    """Text and how many bytes it took; a character cut at the end is left for the next time unless ``final``."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    text = decoder.decode(body, final)
    pending = len(decoder.getstate()[0])
    return text, len(body) - pending


async def end_of(tx: AsyncSession, attempt_id: uuid.UUID) -> LogEnd:
    """How the attempt and its task stand once the log has ended."""
    row = (
        await tx.execute(
            select(Task.state, Attempt.exit_code, Attempt.log_truncated)
            .join(Attempt, Attempt.task_id == Task.id)
            .where(Attempt.id == attempt_id)
        )
    ).one()
    return LogEnd(state=row[0], exit_code=row[1], truncated=row[2])


def _bytes(value: bytes | str | None) -> bytes:
    """What Redis returned; the client is configured not to decode."""
    assert not isinstance(value, str)
    return value or b""
