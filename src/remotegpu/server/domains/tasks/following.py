"""Reading logs: whole up to now, or live as server-sent events: chunks of each attempt as they come, then the end."""

import asyncio
import codecs
import contextlib
import uuid
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec
from litestar.response import ServerSentEventMessage
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.server.core.context import Caller
from remotegpu.server.core.services import Services
from remotegpu.server.domains.auth import callers
from remotegpu.server.domains.tasks import logs, repository
from remotegpu.server.domains.tasks.models import Attempt, Task

WAIT_SECONDS = 10.0
"""A follower looks again after this long even when no wake-up came."""


class LogChunk(msgspec.Struct, kw_only=True):
    """``text`` is UTF-8 with replacement; offsets count bytes."""

    offset: int
    text: str
    next_offset: int


class LogEnd(msgspec.Struct, kw_only=True):
    state: str
    exit_code: int | None
    truncated: bool


async def whole(services: Services, attempt_id: uuid.UUID, offset: int) -> AsyncIterator[bytes]:
    """Everything there is from ``offset`` on, now."""
    while True:
        body, _ = await logs.read(services, attempt_id, offset)
        if not body:
            return
        offset += len(body)
        yield body


async def events(
    services: Services, task_id: uuid.UUID, offset: int, number: int | None
) -> AsyncGenerator[ServerSentEventMessage]:
    """``chunk`` events from ``offset`` on, of attempt ``number`` or of all from the latest on; then ``end``."""
    followed: uuid.UUID | None = None
    async with contextlib.aclosing(_changes(services, task_id)) as changes:
        async for _ in changes:
            attempt, state = await _look(services, task_id, number)
            while attempt is not None and attempt.id != followed:
                followed = attempt.id
                async with contextlib.aclosing(follow(services, attempt.id, offset)) as chunks:
                    async for chunk in chunks:
                        yield _message("chunk", chunk) if chunk else _comment("nothing new")
                offset = 0
                attempt, state = await _look(services, task_id, number)
            if _is_over(attempt, state, number):
                yield _message("end", await _end(services, state, attempt))
                return
            else:
                yield _comment("waiting")


async def while_let_in(
    services: Services, caller: Caller, messages: AsyncGenerator[ServerSentEventMessage]
) -> AsyncIterator[ServerSentEventMessage]:
    """``messages`` until the caller may no longer see them: they signed out, or were switched off, meanwhile."""
    changed = asyncio.Event()
    with (
        services.hub.listening("customers", str(caller.customer_id), lambda _message: changed.set()),
        services.hub.listening("people", None, lambda _message: changed.set()),
    ):
        async with contextlib.aclosing(messages):
            async for message in messages:
                if changed.is_set():
                    changed.clear()
                    if not await callers.is_let_in(services, caller):
                        return
                yield message


def _is_over(attempt: Attempt | None, state: str, number: int | None) -> bool:
    """The task is final, or the one attempt that was asked for is."""
    one_attempt_ended = number is not None and attempt is not None and attempt.state not in repository.OPEN
    return state in repository.FINAL or one_attempt_ended


async def _changes(services: Services, task_id: uuid.UUID) -> AsyncGenerator[None]:
    """Now, after each change of the task (also one that came meanwhile), and at least every few seconds."""
    woken = asyncio.Event()
    woken.set()
    with services.hub.listening("tasks", str(task_id), lambda _message: woken.set()):
        while True:
            await _woken_within(woken, WAIT_SECONDS)
            woken.clear()
            yield


async def _look(services: Services, task_id: uuid.UUID, number: int | None) -> tuple[Attempt | None, str]:
    async with services.sessions() as tx:
        state = await tx.scalar(select(Task.state).where(Task.id == task_id))
        return await repository.attempt_for_log(tx, task_id, number), state or "cancelled"


async def follow(services: Services, attempt_id: uuid.UUID, offset: int) -> AsyncGenerator[LogChunk | None]:
    """Chunks from ``offset`` as they arrive, until the log is closed. None: nothing new for a while (keep alive)."""
    woken, cut = asyncio.Event(), b""
    with services.hub.listening("log", str(attempt_id), lambda _message: woken.set()):
        while True:
            woken.clear()
            body, position = await logs.read(services, attempt_id, offset + len(cut))
            ended = position.is_closed and not body
            text, used = decode(cut + body, final=ended)
            cut = (cut + body)[used:]
            if used:
                yield LogChunk(offset=offset, text=text, next_offset=offset + used)
                offset += used
            if ended:
                return
            if not body and not await _woken_within(woken, WAIT_SECONDS):
                yield None


async def _woken_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for ``event``; False when it did not come in time."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


def decode(body: bytes, *, final: bool) -> tuple[str, int]:
    """Text and how many bytes it took; a character cut at the end (of a segment, or of what there is) is left over.

    ``final``: nothing follows, so that it becomes a replacement character.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    text = decoder.decode(body, final)
    pending = len(decoder.getstate()[0])
    return text, len(body) - pending


async def _end(services: Services, state: str, attempt: Attempt | None) -> LogEnd:
    if attempt is None:
        return LogEnd(state=state, exit_code=None, truncated=False)
    async with services.sessions() as tx:
        return await end_of(tx, attempt.id)


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


def _message(event: str, body: LogChunk | LogEnd) -> ServerSentEventMessage:
    return ServerSentEventMessage(event=event, data=msgspec.json.encode(body).decode())


def _comment(text: str) -> ServerSentEventMessage:
    return ServerSentEventMessage(data=None, comment=text)
