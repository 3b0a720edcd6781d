"""The one place of the site toolkit that starts processes. What to run is decided elsewhere, as :class:`Command`."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

HIDDEN = "***"
SHOWN_LINES = 20
TIMED_OUT = 124
"""Exit status that stands for a command that took too long, as ``timeout`` of coreutils has it."""
NOT_FOUND = 127
"""Exit status that stands for a program that is not there, as shells have it."""
GRACE_S = 10.0
"""How long a command that is called off may take to leave things tidy."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Command:
    """``argv`` and what it needs. ``secrets``: values that are hidden wherever the command or its output shows."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    stdin: bytes = b""
    directory: Path | None = None
    timeout_s: float = 60.0
    secrets: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As it would be typed, secrets hidden."""
        return self.without_secrets(shlex.join(self.argv))

    def __repr__(self) -> str:
        return f"Command({self})"

    def without_secrets(self, text: str) -> str:
        """``text`` with every secret hidden, the longest first."""
        for secret in sorted(filter(None, self.secrets), key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text


@dataclass(frozen=True)
class Done:
    """How it ended. ``output``: stdout and stderr as they came, secrets hidden."""

    code: int
    output: str
    seconds: float


class CommandError(Exception):
    """A command failed. Its message shows the command and the end of what it said."""

    def __init__(self, command: Command, done: Done) -> None:
        self.command = command
        self.done = done
        said = "\n".join(f"    {line}" for line in done.output.rstrip().splitlines()[-SHOWN_LINES:])
        super().__init__(f"{command} {_ending(command, done.code)}" + (f":\n{said}" if said else ""))


def _ending(command: Command, code: int) -> str:
    if code == TIMED_OUT:
        return f"did not end within {command.timeout_s:g} s"
    return f"ended with {code}"


def run(command: Command) -> Done:
    """Run it to its end. Raises :class:`CommandError` unless that is 0."""
    done = attempt(command)
    if done.code != 0:
        raise CommandError(command, done)
    return done


def attempt(command: Command) -> Done:
    """Run it to its end, whatever that is. One that takes too long is killed with everything it started."""
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            command.argv,
            env={**os.environ, **command.env},
            cwd=command.directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            close_fds=False,  # what is inheritable on purpose: the site's lock lasts as long as any of this does
        )
    except OSError as error:
        return Done(NOT_FOUND, command.without_secrets(f"{error.strerror}: {command.argv[0]}"), 0.0)
    try:
        output, _ = process.communicate(command.stdin, timeout=command.timeout_s)
        code = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        code = TIMED_OUT
    except BaseException:  # we are being ended ourselves: nothing that we started stays behind
        _end(process)
        raise
    said = command.without_secrets(output.decode("utf-8", errors="replace"))
    return Done(code, said, time.monotonic() - began)


def _end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.communicate(timeout=GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def pass_through(command: Command) -> int:
    """Run it with this process's own input and output. Returns its exit status; an interrupt ends it first."""
    environment = {**os.environ, **command.env}
    process = subprocess.Popen(command.argv, env=environment, cwd=command.directory)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise


def with_environment(command: Command, variables: Mapping[str, str]) -> Command:
    """The same with more variables."""
    return replace(command, env={**command.env, **variables})
