"""Steps with their time, printed as they happen and kept for the JSON report."""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

WIDTH = 44


class Step(msgspec.Struct, kw_only=True):
    """``seconds`` from the start of the step to its end."""

    name: str
    ok: bool = False
    seconds: float = 0.0
    detail: str = ""


class StepFailedError(Exception):
    """A step did not do what it should; its message is already in the report."""


class Report:
    """Collects steps; ``write`` receives what a person reads."""

    def __init__(self, write: Callable[[str], object] | None = None) -> None:
        self.steps: list[Step] = []
        self._write = write or sys.stdout.write

    @property
    def ok(self) -> bool:
        return bool(self.steps) and all(step.ok for step in self.steps)

    def say(self, text: str) -> None:
        self._write(text + "\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """A line that belongs to the step under way."""
        self.say(f"      {text}")

    @contextmanager
    def step(self, name: str) -> Generator[Step]:
        """Times the block. An exception marks the step as failed and ends the journey with StepFailedError."""
        step = Step(name=name)
        self.steps.append(step)
        started = time.monotonic()
        try:
            yield step
        except Exception as error:
            step.seconds = time.monotonic() - started
            step.detail = str(error) or type(error).__name__
            self.say(f"  ✗ {name:<{WIDTH}} {step.seconds:6.2f} s  {step.detail.splitlines()[0]}")
            raise StepFailedError(step.detail) from error
        step.ok = True
        step.seconds = time.monotonic() - started
        self.say(f"  ✓ {name:<{WIDTH}} {step.seconds:6.2f} s  {step.detail}")

    def save(self, path: Path, **facts: object) -> None:
        """Writes ``{ok, steps, …facts}`` as JSON."""
        document = {
            "ok": self.ok,
            **facts,
            "seconds": sum(s.seconds for s in self.steps),
            "steps": self.steps,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
