import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.agent.fake_server import ACCOUNT, FakeServer
from remotegpu.protocol.attempts import AttemptSpec


class AgentProcess:
    """A real agent, started and killed like one."""

    def __init__(self, server: FakeServer, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(data_dir),
            "REMOTEGPU_SERVER_URL": server.url,
            "REMOTEGPU_AGENT_TOKEN": server.token,
            "REMOTEGPU_DATA_DIR": str(data_dir),
            "REMOTEGPU_SIMULATE_GPUS": "1",
            "REMOTEGPU_ISOLATION": "directory",
            "REMOTEGPU_LOG_LEVEL": "debug",
            "REMOTEGPU_PYTHON": sys.executable,
        }
        self.process: asyncio.subprocess.Process | None = None

    @property
    def output(self) -> Path:
        return self.data_dir.with_name("agent.out")

    async def start(self) -> None:
        with self.output.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "remotegpu.agent.main"), env=self.env, stdout=output, stderr=output
            )

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    async def terminate(self) -> int:
        return await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 20)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    fake = FakeServer()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def agent(server: FakeServer, tmp_path: Path) -> AsyncIterator[AgentProcess]:
    process = AgentProcess(server, tmp_path / "data")
    await process.start()
    yield process
    await process.terminate()
    _kill_leftovers(tmp_path)


@pytest.fixture
def attempt() -> Callable[..., AttemptSpec]:
    def make(command: str, **fields: Any) -> AttemptSpec:
        given = {"attempt_id": str(uuid.uuid4()), "task_id": str(uuid.uuid4()), "number": 1, "kind": "shell"}
        return AttemptSpec(**{**given, "account": ACCOUNT.name, "command": command, "grace_s": 2, **fields})

    return make


@pytest.fixture
def leftovers(tmp_path: Path) -> Iterator[Callable[[], list[int]]]:
    """Processes that were started for an account below this test's data directory."""
    yield lambda: _processes_of(tmp_path)
    _kill_leftovers(tmp_path)


def _processes_of(folder: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                environment = (entry / "environ").read_bytes()
                arguments = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if f"HOME={folder}/data/accounts".encode() in environment or (
                str(folder).encode() in arguments and b"attempt_host" in arguments
            ):
                found.append(int(entry.name))
    return found


def _kill_leftovers(folder: Path) -> None:
    for pid in _processes_of(folder):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
