"""The time of a run, which can stand still."""

import asyncio
import time


class RunClock:
    """Seconds since the beginning, without the pauses."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._paused_at: float | None = None
        self._goes = asyncio.Event()
        self._goes.set()

    def now(self) -> float:
        """Seconds; does not move during a pause."""
        return (self._paused_at or time.monotonic()) - self._began

    async def until(self, at: float) -> None:
        """Return when it is ``at``."""
        while True:
            await self._goes.wait()
            left = at - self.now()
            if left <= 0:
                return
            await asyncio.sleep(left)

    def pause(self) -> None:
        """Stand still."""
        self._paused_at = time.monotonic()
        self._goes.clear()

    def resume(self) -> None:
        """Go on where it stood."""
        assert self._paused_at is not None, "resumed without a pause"
        self._began += time.monotonic() - self._paused_at
        self._paused_at = None
        self._goes.set()
