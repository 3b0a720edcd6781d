"""Bringing an attempt's log to the server while it is written, and to its end afterwards."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from remotegpu.agent.backoff import Backoff
from remotegpu.agent.tasks.uplink import UnreachableError, Uplink
from remotegpu.protocol.attempts import LOG_CHUNK_BYTES, LogAck

BUSY_POLL_S = 0.03
IDLE_POLL_S = 0.08
"""A line is on its way within this time. Looking costs one ``stat``; a busy log is looked at more often, so that
it goes out in pieces of 30 ms rather than line by line."""

log = structlog.get_logger()

Acknowledged = Callable[[int, bool], Awaitable[None]]
"""Called with the new offset, and whether the server knows that nothing follows."""


class LogFollower:
    """Sends one growing file. The file is the truth: the server says from where it wants to go on."""

    def __init__(
        self, attempt_id: str, path: Path, uplink: Uplink, *, offset: int, acknowledged: Acknowledged
    ) -> None:
        self._attempt_id = attempt_id
        self._path = path
        self._uplink = uplink
        self._acknowledged = acknowledged
        self._backoff = Backoff(0.2, 10.0)
        self.offset = offset

    async def follow(self, ended: asyncio.Event) -> None:
        """Send until ``ended`` is set and the server has everything.

        Raises :class:`~remotegpu.agent.tasks.uplink.AttemptGoneError` or ``RejectedError``; waits out everything else.
        """
        while True:
            complete = ended.is_set()  # before looking at the size: what was written by then is in it
            size = self._size()
            remaining = size - self.offset
            if complete and remaining <= LOG_CHUNK_BYTES:
                if await self._send(max(0, remaining), final=True):
                    return
            elif remaining > 0:
                await self._send(min(remaining, LOG_CHUNK_BYTES), final=False)
            if remaining < LOG_CHUNK_BYTES and not complete:
                await _pause(ended, BUSY_POLL_S if remaining > 0 else IDLE_POLL_S)

    async def _send(self, length: int, *, final: bool) -> bool:
        """One piece. True when the server took it."""
        content = self._read(length)
        try:
            answer = await self._uplink.push_log(self._attempt_id, self.offset, content, final=final)
        except UnreachableError as error:
            log.debug("log push failed", attempt_id=self._attempt_id, error=str(error))
            await asyncio.sleep(self._backoff.next())
            return False
        return await self._follow_server(answer, final=final)

    async def _follow_server(self, answer: LogAck, *, final: bool) -> bool:
        if answer.accepted:
            self._backoff.reset()
        else:
            log.info(
                "server asks for another log offset",
                attempt_id=self._attempt_id,
                sent=self.offset,
                wanted=answer.next_offset,
            )
            if answer.next_offset == self.offset:
                await asyncio.sleep(self._backoff.next())
        self.offset = answer.next_offset
        beyond = final and self.offset > self._size()  # it has more than there is: nothing can be added
        done = (answer.accepted or beyond) and final
        await self._acknowledged(self.offset, done)
        return done

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _read(self, length: int) -> bytes:
        if length == 0:
            return b""
        with self._path.open("rb") as source:
            source.seek(self.offset)
            return source.read(length)


async def _pause(ended: asyncio.Event, seconds: float) -> None:
    """Sleep, but not past the end of the attempt."""
    try:
        await asyncio.wait_for(ended.wait(), seconds)
    except TimeoutError:
        return
