"""Processes at the front door: started with the site's name and authority, spoken to over their standard streams."""

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from stack.site import door
from stack.site.bed import Site
from stack.site.people import Session

ANSWER_S = 60


@dataclass
class Load:
    """Constant requests from outside. ``report``: once it has ended."""

    process: subprocess.Popen[str]
    report: dict[str, Any] = field(default_factory=dict)

    def stop(self) -> dict[str, Any]:
        """What came of them."""
        output, _ = self.process.communicate("stop\n", timeout=ANSWER_S)
        self.report = json.loads(output.splitlines()[-1])
        return self.report


def start(site: Site, module: str, *arguments: str) -> subprocess.Popen[str]:
    environment = site.environment | door.environment(site.domain, site.authority)
    argv = [sys.executable, "-m", f"stack.site.{module}", site.url, *arguments]
    return subprocess.Popen(
        argv, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1
    )


@contextmanager
def load(site: Site, session: Session, per_second: int) -> Generator[Load]:
    """Machines with a token, health, console page, over connections that are kept. Runs until ``stop``."""
    process = start(site, "load", str(per_second))
    running = Load(process)
    try:
        tell(process, session.access_token)
        assert hear(process) == "running"
        yield running
    finally:
        process.kill()
        process.wait()


def require_no_failure(report: dict[str, Any], at_least: int) -> None:
    print(f"front door: {report}")  # noqa: T201 - the figures of a run
    assert report["failed"] == 0, report
    assert report["requests"] >= at_least, report


@dataclass(frozen=True)
class Shell:
    """An open terminal on the machine."""

    process: subprocess.Popen[str]

    def run(self, command: str) -> str:
        """What it printed. Fails when the terminal is closed."""
        tell(self.process, command)
        found = json.loads(hear(self.process))
        assert "said" in found, found
        return found["said"]


@contextmanager
def shell(site: Site, session: Session, machine: str) -> Generator[Shell]:
    process = start(site, "shell", machine)
    try:
        tell(process, session.access_token)
        assert json.loads(hear(process)) == {"said": "open"}
        yield Shell(process)
    finally:
        process.kill()
        process.wait()


def tell(process: subprocess.Popen[str], line: str) -> None:
    stream(process.stdin).write(f"{line}\n")


def hear(process: subprocess.Popen[str]) -> str:
    line = stream(process.stdout).readline().strip()
    assert line, f"it ended with {process.wait()} before it answered"
    return line


def stream(found: IO[str] | None) -> IO[str]:
    assert found is not None
    return found
