"""What the agent needs in order to run attempts, whatever runs them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from remotegpu.agent.accounts import AccountIdentity
from remotegpu.agent.tasks.process_identity import ProcessIdentity
from remotegpu.protocol.attempts import AttemptSpec, FinalState


class AttemptExit(msgspec.Struct, kw_only=True, frozen=True):
    """How an attempt ended, as in its ``exit.json``. ``log_bytes`` counts what was written before truncation."""

    outcome: FinalState
    exit_code: int | None = None
    reason: str = ""
    log_bytes: int = 0
    truncated: bool = False
    started_at: float | None = None
    finished_at: float | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The attempt's process exists. ``process`` is the one that owns the attempt, not the customer's command."""

    process: ProcessIdentity
    started_at: float


class AttemptRunner(Protocol):
    """Runs attempts in such a way that neither a crash of the agent nor a repeated call starts one twice."""

    async def start(self, spec: AttemptSpec, account: AccountIdentity) -> Started | None:
        """Start the attempt, or find it running. None when it ended without ever starting: ask :meth:`wait`."""
        ...

    async def wait(self, attempt_id: str, process: ProcessIdentity | None) -> AttemptExit:
        """Return when nothing of the attempt runs any more. ``process`` helps where its files are gone."""
        ...

    async def stop(self, attempt_id: str, grace_s: float) -> None:
        """Ask for SIGTERM now and SIGKILL after ``grace_s``; a later call may only shorten that."""
        ...

    async def seal(self, attempt_id: str) -> None:
        """Let the account change the output of an ended attempt no more."""
        ...

    def log_path(self, attempt_id: str) -> Path:
        """The file its output goes to. It only grows until the attempt has ended."""
        ...

    def output_path(self, attempt_id: str) -> Path:
        """The directory whose files become artifacts."""
        ...

    async def discard(self, attempt_id: str) -> None:
        """Delete everything kept for an ended attempt."""
        ...

    async def sweep(self, keep: set[str]) -> None:
        """End and delete every attempt not in ``keep``: what an agent left whose journal was lost."""
        ...
