"""Attempts that run in memory, for tests of everything around them."""

import asyncio
from pathlib import Path

from remotegpu.agent.accounts import AccountIdentity
from remotegpu.agent.tasks.adapter import AttemptExit, Started
from remotegpu.agent.tasks.process_identity import ProcessIdentity
from remotegpu.protocol.attempts import AttemptSpec

FAKE_START = 1_700_000_000.0


class FakeRunner:
    """An attempt runs until :meth:`finish`, or until it is stopped. ``starts`` keeps every start, in order."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._ends: dict[str, asyncio.Future[AttemptExit]] = {}
        self.starts: list[str] = []
        self.stops: list[tuple[str, float]] = []
        self.discarded: list[str] = []

    async def start(self, spec: AttemptSpec, account: AccountIdentity) -> Started | None:
        """Pretend that a process exists. A second start of one id finds the first."""
        del account
        if spec.attempt_id not in self._ends:
            self.starts.append(spec.attempt_id)
            self.output_path(spec.attempt_id).mkdir(parents=True, exist_ok=True)
            self._ends[spec.attempt_id] = asyncio.get_running_loop().create_future()
        return Started(ProcessIdentity(1_000_000 + len(self.starts), 1, "fake"), FAKE_START)

    async def wait(self, attempt_id: str, process: ProcessIdentity | None) -> AttemptExit:
        """Until somebody ends it."""
        del process
        return await asyncio.shield(self._ends[attempt_id])  # an agent that goes away must not end it

    async def stop(self, attempt_id: str, grace_s: float) -> None:
        """End it as stopped."""
        self.stops.append((attempt_id, grace_s))
        self.finish(attempt_id, AttemptExit(outcome="stopped", exit_code=-15))

    def finish(self, attempt_id: str, ended: AttemptExit) -> None:
        """End it, unless it has ended."""
        future = self._ends[attempt_id]
        if not future.done():
            future.set_result(ended)

    async def seal(self, attempt_id: str) -> None:
        """Nothing to close."""

    def log_path(self, attempt_id: str) -> Path:
        """A file tests may write to."""
        return self._root / attempt_id / "log"

    def output_path(self, attempt_id: str) -> Path:
        """A directory tests may write to."""
        return self._root / attempt_id / "output"

    async def discard(self, attempt_id: str) -> None:
        """Remember that it was asked for."""
        self.discarded.append(attempt_id)

    async def sweep(self, keep: set[str]) -> None:
        """Nothing is ever left over in memory."""
