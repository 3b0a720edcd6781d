"""One container for one test, confined as a site confines it, and gone afterwards."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from stack.engine import Engine

CONFINED = (
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--tmpfs=/tmp:mode=1777",
    "--init",
)
HEALTHY_S = 90


@dataclass(frozen=True)
class Container:
    engine: Engine
    id: str

    def run(self, *command: str, user: str = "") -> str:
        """Runs a command in it; its output."""
        as_user = [f"--user={user}"] if user else []
        return self.engine.docker("exec", *as_user, self.id, *command).stdout

    @property
    def log(self) -> str:
        done = self.engine.docker("logs", self.id)
        return done.stdout + done.stderr

    def state(self) -> str:
        """``healthy``, ``starting``, ``unhealthy``; ``exited`` and the like when it no longer runs."""
        shown = "{{if .State.Running}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}"
        return self.engine.docker("inspect", f"--format={shown}", self.id).stdout.strip()

    def until_healthy(self) -> None:
        """Fails with its log when its health check does not succeed in time."""
        deadline = time.monotonic() + HEALTHY_S
        while (state := self.state()) != "healthy":
            assert state == "starting", f"the container is {state}:\n{self.log}"
            assert time.monotonic() < deadline, f"still {state} after {HEALTHY_S} s:\n{self.log}"
            time.sleep(0.2)


@contextmanager
def confined(engine: Engine, image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[Container]:
    """Started without a writable root or any capability; removed with its volumes."""
    started = engine.docker("run", "--detach", *CONFINED, *options, image, *command)
    container = Container(engine, started.stdout.strip())
    try:
        yield container
    finally:
        engine.docker("rm", "--force", "--volumes", container.id)
