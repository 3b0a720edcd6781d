"""Task logs: whole segments in the object store, the end of a running log buffered in Redis.

The agent's own file is the source of truth until the final push was stored, so the buffer may be lost: the next push
is then answered with the offset to go on from. A segment that begins at ``base`` is buffered under a key with ``base``
in it and stored under a name with ``base`` in it, so that no step of moving it from one to the other can tear.
"""

import uuid

import msgspec
from redis.asyncio import Redis
from sqlalchemy import select, update

from remotegpu.protocol.attempts import LOG_CHUNK_BYTES, LogAck
from remotegpu.server.core.database import Sessions, transaction
from remotegpu.server.core.errors import ConflictError, NotFoundError
from remotegpu.server.core.services import Services
from remotegpu.server.domains.tasks import repository
from remotegpu.server.domains.tasks.models import Attempt

BUFFER_SECONDS = 7 * 86_400

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

    @property
    def is_closed(self) -> bool:
        """Nothing will be added: an agent reports the end of an attempt only after the end of its log."""
        return self.final or self.state not in repository.OPEN


def _segment(position: LogPosition, base: int) -> str:
    return f"logs/{position.task_id}/{position.attempt_id}/{base:015d}"


def _buffer(attempt_id: uuid.UUID, base: int) -> str:
    return f"log:{attempt_id}:{base}"


async def position_of(
    sessions: Sessions, attempt_id: uuid.UUID, machine_id: uuid.UUID | None = None
) -> LogPosition:
    """Raises :class:`NotFoundError` for an unknown attempt, or one of another machine when one is given."""
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
    position = await position_of(services.sessions, attempt_id, machine_id)
    if position.state == "lost":
        raise ConflictError("this attempt lost its lease; stop it and forget it", code="attempt_lost")
    if position.final:
        return LogAck(next_offset=position.stored, accepted=offset + len(body) == position.stored)
    acknowledged = await _extend(services, position, offset, body, final=final)
    if acknowledged.accepted:
        services.hub.publish("log", str(attempt_id))
    return acknowledged


async def _extend(
    services: Services, position: LogPosition, offset: int, body: bytes, *, final: bool
) -> LogAck:
    """Fill the buffered segment; store it when it is full or the last one; begin the next with what is left."""
    base, key = position.stored, _buffer(position.attempt_id, position.stored)
    if not 0 <= offset - base <= LOG_CHUNK_BYTES:
        return LogAck(next_offset=base + await services.redis.strlen(key), accepted=False)
    while True:
        at = offset - base
        part, body = body[: LOG_CHUNK_BYTES - at], body[LOG_CHUNK_BYTES - at :]
        length = await _append(services.redis, position.attempt_id, base, at, part)
        if length != at + len(part):
            return LogAck(next_offset=base + length, accepted=False)
        offset += len(part)
        is_last = final and not body
        if is_last or length == LOG_CHUNK_BYTES:
            stored = await _store_segment(services, position, base, length, final=is_last)
            if stored != length:
                return LogAck(next_offset=base + stored, accepted=False)
            base += length
        if not body:
            return LogAck(next_offset=offset, accepted=True)


async def _append(redis: Redis, attempt_id: uuid.UUID, base: int, at: int, body: bytes) -> int:
    """Length of the buffer afterwards. Appends only when it ends at ``at``.

    A push that is repeated because its answer was lost finds its bytes there already: the same length, and no harm.
    """
    key = _buffer(attempt_id, base)
    return int(await redis.eval(_APPEND, 1, key, str(at), body, str(BUFFER_SECONDS)))  # pyright: ignore[reportGeneralTypeIssues,reportArgumentType] - redis-py types


async def _store_segment(
    services: Services, position: LogPosition, base: int, length: int, *, final: bool
) -> int:
    """Move the buffer at ``base`` into the object store if it still holds ``length`` bytes. Returns what it holds."""
    key = _buffer(position.attempt_id, base)
    body = as_bytes(await services.redis.get(key))
    if len(body) != length:
        return len(body)
    if body:
        await services.objects.put(_segment(position, base), body)
    async with transaction(services.sessions) as tx:
        await tx.execute(
            update(Attempt)
            .where(
                Attempt.id == position.attempt_id, Attempt.log_stored == base, Attempt.log_final.is_(False)
            )
            .values(log_stored=base + length, log_final=final)
        )
    await services.redis.delete(key)
    return length


async def settle(services: Services, attempt_id: uuid.UUID) -> None:
    """The agent of a lost attempt sends no more: keep what there is of its log.

    Nothing is done for another attempt: its agent may have come back in the last moment, and has more to send.
    """
    position = await position_of(services.sessions, attempt_id)
    if position.state == "lost" and not position.final:
        length = await services.redis.strlen(_buffer(attempt_id, position.stored))
        await _store_segment(services, position, position.stored, length, final=True)
        services.hub.publish("log", str(attempt_id))


async def read(services: Services, attempt_id: uuid.UUID, offset: int) -> tuple[bytes, LogPosition]:
    """Bytes from ``offset`` up to the end of their segment; empty at the end of what there is."""
    position = await position_of(services.sessions, attempt_id)
    while True:
        body = await _read_at(services, position, offset)
        if body or position.final:
            return body, position
        before, position = position, await position_of(services.sessions, attempt_id)
        if position.stored == before.stored:  # else the segment was moved between the two looks
            return body, before


async def _read_at(services: Services, position: LogPosition, offset: int) -> bytes:
    if offset < position.stored:
        base = offset - offset % LOG_CHUNK_BYTES
        return (await services.objects.get(_segment(position, base)))[offset - base :]
    if position.final:
        return b""
    start = offset - position.stored
    key = _buffer(position.attempt_id, position.stored)
    return as_bytes(await services.redis.getrange(key, start, start + LOG_CHUNK_BYTES - 1))


def as_bytes(value: bytes | str | None) -> bytes:
    """What Redis returned; the client is configured not to decode."""
    assert not isinstance(value, str)
    return value or b""
