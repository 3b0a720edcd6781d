"""A task's log as server-sent events: chunks of each attempt as they come, then the end."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import msgspec
from litestar.response import ServerSentEventMessage
from sqlalchemy import select

from remotegpu.server.core.services import Services
from remotegpu.server.domains.tasks import logs, repository
from remotegpu.server.domains.tasks.models import Attempt, Task


async def events(
    services: Services, task_id: uuid.UUID, offset: int, number: int | None
) -> AsyncIterator[ServerSentEventMessage]:
    """``chunk`` events from ``offset`` on, of attempt ``number`` or of all from the latest on; then ``end``."""
    followed: uuid.UUID | None = None
    async for _ in _changes(services, task_id):
        attempt, state = await _look(services, task_id, number)
        if attempt is not None and attempt.id != followed:
            followed = attempt.id
            async for chunk in logs.follow(services, attempt.id, offset):
                yield _message("chunk", chunk) if chunk else ServerSentEventMessage(comment="nothing new")
            offset = 0
        elif state in repository.FINAL or (
            number is not None and attempt and attempt.state not in repository.OPEN
        ):
            yield _message("end", await _end(services, state, attempt))
            return
        else:
            yield ServerSentEventMessage(comment="waiting")


async def _changes(services: Services, task_id: uuid.UUID) -> AsyncIterator[None]:
    """Now, after each change of the task (also one that came meanwhile), and at least every few seconds."""
    woken = asyncio.Event()
    woken.set()
    with services.hub.listening("tasks", str(task_id), lambda _message: woken.set()):
        while True:
            await logs.woken_within(woken, logs.WAIT_SECONDS)
            woken.clear()
            yield


async def _look(services: Services, task_id: uuid.UUID, number: int | None) -> tuple[Attempt | None, str]:
    async with services.sessions() as tx:
        state = await tx.scalar(select(Task.state).where(Task.id == task_id))
        return await repository.attempt_for_log(tx, task_id, number), state or "cancelled"


async def _end(services: Services, state: str, attempt: Attempt | None) -> logs.LogEnd:
    if attempt is None:
        return logs.LogEnd(state=state, exit_code=None, truncated=False)
    async with services.sessions() as tx:
        return await logs.end_of(tx, attempt.id)


def _message(event: str, body: logs.LogChunk | logs.LogEnd) -> ServerSentEventMessage:
    return ServerSentEventMessage(event=event, data=msgspec.json.encode(body).decode())
