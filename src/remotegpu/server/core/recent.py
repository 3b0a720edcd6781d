"""What was looked up a moment ago, for those who ask the same again."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from remotegpu.server.core.hub import Message

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Values of the last ``seconds``, at most ``most`` of them, all forgotten as soon as something they show changes.

    A look-up that began before a change never answers who asks after it. ``seconds`` bounds how long a change may go
    unnoticed whose message was lost.
    """

    def __init__(self, seconds: float, most: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._most = most
        self._monotonic = monotonic
        self._known: dict[K, tuple[V, float]] = {}
        self._pending: dict[K, asyncio.Task[V]] = {}
        self._changes = 0

    async def get(self, key: K, look_up: Callable[[], Awaitable[V]]) -> V:
        """The value of ``key``, looked up once for all who ask meanwhile. What ``look_up`` raises is not remembered."""
        known = self._known.get(key)
        if known is not None and known[1] > self._monotonic():
            return known[0]
        pending = self._pending.get(key)
        if pending is None:
            pending = asyncio.create_task(self._look_up(key, look_up, self._changes), name="look-up")
            pending.add_done_callback(_retrieve)
            self._pending[key] = pending
        return await asyncio.shield(pending)  # whoever gives up takes nothing from the others

    async def _look_up(self, key: K, look_up: Callable[[], Awaitable[V]], changes: int) -> V:
        try:
            value = await look_up()
        finally:
            if changes == self._changes:
                del self._pending[key]
        if changes == self._changes:
            if len(self._known) >= self._most:
                self._known.clear()
            self._known[key] = (value, self._monotonic() + self._seconds)
        return value

    def forget(self, _message: Message | None = None) -> None:
        """Everything. Usable as a listener of the hub."""
        self._changes += 1
        self._known.clear()
        self._pending.clear()


def _retrieve(task: asyncio.Task[V]) -> None:
    """An error that nobody waits for any more is nobody's."""
    if not task.cancelled():
        task.exception()
