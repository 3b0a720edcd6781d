"""What was looked up a moment ago, for those who ask the same again."""

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
        self._changes = 0

    async def get(self, key: K, look_up: Callable[[], Awaitable[V]]) -> V:
        """The value of ``key``, looked up unless it is known. What ``look_up`` raises is not remembered."""
        known = self._known.get(key)
        if known is not None and known[1] > self._monotonic():
            return known[0]
        changes = self._changes
        value = await look_up()
        if changes == self._changes:
            if len(self._known) >= self._most:
                self._known.clear()
            self._known[key] = (value, self._monotonic() + self._seconds)
        return value

    def forget(self, _message: Message | None = None) -> None:
        """Everything. Usable as a listener of the hub."""
        self._changes += 1
        self._known.clear()
