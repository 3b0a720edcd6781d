"""A Docker engine for the tests: one that answers already, else one of our own, stopped by the last run that uses it.

Our own is Debian's ``dockerd``, with its data kept between runs, so that only the first one builds every image.
"""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from stack import compose_plugin
from stack.scripts import ROOT, docker_engine

DATA = Path("/var/cache/remotegpu-tests/docker")
RUN = Path("/run/remotegpu-tests")
SOCKET = RUN / "docker.sock"
PID = RUN / "docker.pid"
LOG = ROOT / "build/test/dockerd.log"
START_S = 60
STOP_S = 60


class NoEngineError(Exception):
    """No Docker engine can be had; the message says why."""


@dataclass(frozen=True)
class Engine:
    """``address``: for DOCKER_HOST. ``environment``: what each command of ours needs, also of the product's."""

    address: str
    config: Path

    @property
    def environment(self) -> dict[str, str]:
        """The classic builder: Debian packages no other one."""
        own = {"DOCKER_HOST": self.address, "DOCKER_CONFIG": str(self.config), "DOCKER_BUILDKIT": "0"}
        return {**os.environ, **own}

    def docker(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs it; with ``check``, its output is part of the failure."""
        done = subprocess.run(
            ["docker", *arguments], env=self.environment, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-40:])
            raise AssertionError(f"`docker {' '.join(arguments)}` ended with {done.returncode}:\n{tail}")
        return done


@contextmanager
def running_engine() -> Iterator[Engine]:
    """An engine that answers and has Compose v2. Raises :class:`NoEngineError`."""
    if docker_engine.is_running():
        yield with_compose(docker_engine.current_address())
        return
    if problem := docker_engine.problem():
        raise NoEngineError(problem)
    with own_engine() as own:
        yield with_compose(own)


def with_compose(address: str) -> Engine:
    engine = Engine(address, compose_plugin.folder())
    engine.docker("compose", "version")
    return engine


@contextmanager
def own_engine() -> Iterator[str]:
    """Started by the first run that asks and stopped by the last one that leaves: each holds a shared lock meanwhile.

    So a run that was killed leaves its engine to the next one, which stops it.
    """
    RUN.mkdir(mode=0o700, exist_ok=True)
    address = f"unix://{SOCKET}"
    with (RUN / "starting").open("w") as starting, (RUN / "using").open("w") as using:
        with locked(starting):
            fcntl.flock(using, fcntl.LOCK_SH)
            if not docker_engine.answers(address):
                start(address)
        try:
            yield address
        finally:
            with locked(starting):
                stop_unless_used(using)


@contextmanager
def alone() -> Iterator[None]:
    """While it lasts, no other run builds images."""
    file = ROOT / ".cache/stack.lock"
    file.parent.mkdir(exist_ok=True)
    with file.open("w") as lock, locked(lock):
        yield


@contextmanager
def locked(file: TextIO) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def start(address: str) -> None:
    """Raises :class:`NoEngineError` with the engine's last words."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    DATA.mkdir(parents=True, exist_ok=True)
    command = [
        "dockerd",
        f"--data-root={DATA}",
        f"--exec-root={RUN}/exec",
        f"--pidfile={PID}",
        f"--host={address}",
    ]
    with LOG.open("w") as log:
        daemon = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + START_S
    while not docker_engine.answers(address):
        if daemon.poll() is not None or time.monotonic() > deadline:
            daemon.kill()
            daemon.wait()
            tail = "\n".join(LOG.read_text().splitlines()[-10:])
            raise NoEngineError(f"dockerd did not start; its last lines:\n{tail}")
        time.sleep(0.1)


def stop_unless_used(using: TextIO) -> None:
    """Ends our engine when nobody else holds the lock."""
    try:
        fcntl.flock(using, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    if not PID.exists():
        return
    number = int(PID.read_text())
    os.kill(number, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while is_running(number) and time.monotonic() < deadline:
        time.sleep(0.1)


def is_running(number: int) -> bool:
    """Reaps it when it is our own child; a zombie does not run."""
    try:
        ended, _ = os.waitpid(number, os.WNOHANG)
    except ChildProcessError:
        return Path(f"/proc/{number}").exists()
    return ended == 0
