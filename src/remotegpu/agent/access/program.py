"""What an SSH session is connected to: a command's pipes or a shell host's terminal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from remotegpu.agent.access.hosts.terminal import Size


class ProgramError(Exception):
    """A program could not be started; the message is for the customer's terminal."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the client wants run. ``term`` and ``size`` only with a terminal; ``shell_id``: the persistent shell."""

    command: str | None
    sftp: bool
    term: str | None
    size: Size
    shell_id: str | None
    env: Mapping[str, str] = field(default_factory=dict[str, str])


class Listener(Protocol):
    """The session's side: where a program's output and end go."""

    def is_open(self) -> bool:
        """Whether anybody is still there to use a program."""
        ...

    def on_output(self, data: bytes) -> None: ...

    def on_error_output(self, data: bytes) -> None: ...

    def on_attached(self, *, resumed: bool) -> None:
        """A terminal answers, before any output. ``resumed``: it was there before."""
        ...

    def on_exit(self, code: int) -> None:
        """The program has ended and all its output was handed over. Negative: the signal, as in ``subprocess``."""
        ...

    def on_taken_over(self) -> None:
        """Another connection attached to the same shell."""
        ...

    def on_lost(self) -> None:
        """The program's host is gone without a word."""
        ...

    def pause_input(self) -> None:
        """The program does not read: stop the client's typing."""
        ...

    def resume_input(self) -> None: ...


class Program(Protocol):
    """The program's side."""

    def write(self, data: bytes) -> None: ...

    def write_eof(self) -> None: ...

    def resize(self, size: Size) -> None: ...

    def signal(self, number: int) -> None: ...

    def pause_output(self) -> None:
        """The client does not read: stop the program."""
        ...

    def resume_output(self) -> None: ...

    def leave(self) -> None:
        """The client is gone. A persistent shell stays; everything else is hung up."""
        ...

    def kill(self) -> None:
        """Access has ended: SIGKILL, now."""
        ...
