"""A task's log, live, across reconnections."""

import asyncio
from collections.abc import AsyncIterator

import msgspec

from remotegpu.client.api import Api
from remotegpu.client.errors import ApiError, UnreachableError
from remotegpu.client.events import read_events

RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Waits between reconnections without any news in between; after the last one the error is raised."""


class LogChunk(msgspec.Struct, tag=False):
    """``next_offset`` counts bytes of the log, not characters of ``text``."""

    text: str
    next_offset: int
    offset: int = 0


class LogEnd(msgspec.Struct, tag=False):
    state: str
    exit_code: int | None = None
    truncated: bool = False


async def follow_log(api: Api, task_id: str, offset: int = 0) -> AsyncIterator[LogChunk | LogEnd]:
    """Every chunk from ``offset`` on, then one :class:`LogEnd`; a dropped connection goes on where it was.

    Raises :class:`UnreachableError` when the server stays away longer than ``RETRY_S`` says.
    """
    failures = 0
    while True:
        try:
            async with api.stream(f"/tasks/{task_id}/log/stream", {"offset": offset}) as stream:
                async for event in read_events(stream):
                    failures = 0
                    if event.name == "end":
                        yield msgspec.json.decode(event.data, type=LogEnd)
                        return
                    if event.name == "chunk":
                        chunk = msgspec.json.decode(event.data, type=LogChunk)
                        offset = chunk.next_offset
                        yield chunk
        except (UnreachableError, ApiError) as error:
            if is_final(error) or failures >= len(RETRY_S):
                raise
        # The stream also just ends when the server restarts: ask again from the same byte.
        await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
        failures += 1


def is_final(error: UnreachableError | ApiError) -> bool:
    """A refusal stays one; a server that is away or starting (5xx) is asked again."""
    return isinstance(error, ApiError) and error.status < 500
