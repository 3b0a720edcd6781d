"""A data directory that PostgreSQL's account can enter, and platforms run in it as processes of their own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
import redis
from obstore.store import S3Store

from remotegpu.local import ports, proc, processes, roles
from remotegpu.local.layout import Layout
from remotegpu.local.plan import SERVICE_MARK, Options, server_environment
from remotegpu.local.platform import Platform
from remotegpu.local.secret_files import Secrets
from remotegpu.local.services import inline_secrets
from remotegpu.local.state import PlatformState

SCRIPT = Path(__file__).with_name("data_platform.py")
WAIT_S = 40.0


def free_port() -> int:
    """A port for the console: above the platform's internal ones, below the ephemeral range."""
    while True:
        port = 30_000 + int.from_bytes(os.urandom(2)) % 2_500
        if ports.is_free(port):
            return port


@dataclass
class Running:
    """A platform run by ``data_platform.py`` (or the command line), seen from outside."""

    directory: Path
    port: int
    prefix: list[str] = field(default_factory=list)
    process: "subprocess.Popen[str] | None" = None

    @property
    def layout(self) -> Layout:
        return Layout(self.directory.resolve())

    @property
    def platform(self) -> Platform:
        return Platform(self.directory, port=self.port)

    def up(self, *arguments: str) -> PlatformState:
        """Start it and wait until it says so."""
        self.begin(*arguments)
        return self.wait(lambda state: state.phase == "up")

    def begin(self, *arguments: str) -> None:
        command = [*self.prefix, sys.executable, str(SCRIPT), str(self.directory), str(self.port), *arguments]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def refused(self, *arguments: str) -> tuple[int, str]:
        """Start it where it must end by itself: its exit code and what it said."""
        self.begin(*arguments)
        assert self.process
        _, said = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, said

    def wait(self, condition: Callable[[PlatformState], bool]) -> PlatformState:
        """Wait for a state that the running supervisor wrote."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            found = self.platform.state()
            if found and found.is_supervised and condition(found):
                return found
            if self.process and self.process.poll() is not None:
                raise AssertionError(f"it ended: {self.process.communicate()[1]}")
            time.sleep(0.02)
        raise AssertionError(f"not reached within {WAIT_S} s: {self.platform.state()}")

    def pid(self, service: str) -> int:
        found = self.platform.state()
        assert found
        return next(entry.pid for entry in found.services if entry.name == service and entry.pid)

    def restarted(self, service: str, old_pid: int) -> PlatformState:
        """Wait until ``service`` is ready with another pid."""
        return self.wait(
            lambda state: any(
                entry.name == service and entry.state == "ready" and entry.pid not in {None, old_pid}
                for entry in state.services
            )
        )

    def kill_supervisor(self) -> None:
        assert self.process
        self.process.kill()
        self.process.communicate()

    def kill_everything(self) -> None:
        """SIGKILL for the supervisor and all below it, at once."""
        state = self.platform.state()
        assert state
        living = [proc.identity(pid) for pid in (state.supervisor.pid, *self.leftovers())]
        targets = [identity for identity in living if identity]
        for identity in targets:
            processes.send(identity, signal.SIGKILL)
        if self.process:
            self.process.communicate()
        assert proc.wait_gone(targets, 10) == []

    def leftovers(self) -> list[int]:
        """Living processes that carry this directory's mark or work in its cluster."""
        mark = f"{SERVICE_MARK}={self.layout.root}"
        return [
            pid
            for pid in proc.pids()
            if (proc.environment_has(pid, mark) or proc.working_directory(pid) == self.layout.postgres)
            and (stat := proc.stat(pid))
            and stat.state != "Z"
        ]

    def environment(self) -> dict[str, str]:
        chosen = ports.remembered_ports(self.layout.ports)
        variables = server_environment(Secrets(self.layout.secrets), chosen, Options(port=self.port))
        return inline_secrets(variables)

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        port = ports.remembered_ports(self.layout.ports)["postgres"]
        with roles.connect(port, Secrets(self.layout.secrets)) as connection:
            cursor: psycopg.Cursor[tuple[object, ...]] = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def valkey(self) -> redis.Redis:
        env = self.environment()
        host, port = env["REDIS_ADDR"].split(":")
        return redis.Redis(host=host, port=int(port), password=env["REDIS_PASSWORD"])

    def bucket(self) -> S3Store:
        env = self.environment()
        return S3Store(
            env["S3_BUCKET"],
            endpoint=env["S3_ENDPOINT"],
            access_key_id=env["S3_ACCESS_KEY"],
            secret_access_key=env["S3_SECRET_KEY"],
            region=env["S3_REGION"],
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )

    def end(self) -> None:
        """Stop it, however it stands."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.communicate(timeout=WAIT_S)
        self.platform.stop(lambda _event: None)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A temporary directory whose ancestors everybody may pass (pytest's own are closed to PostgreSQL's account)."""
    directory = Path(tempfile.mkdtemp(prefix="remotegpu-local-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def running(open_directory: Path) -> Iterator[Running]:
    """A platform that is not started yet, and certainly stopped afterwards."""
    made = Running(open_directory / "data", free_port())
    yield made
    made.end()
    assert made.leftovers() == []
