"""Turns the options of ``remotegpu run`` into the body of ``POST /tasks``. Decides only; reads the named file."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from remotegpu.client.errors import UsageError
from remotegpu.kit.durations import parse_duration

USAGE = "remotegpu run --machine M --python train.py | --script job.sh | -- COMMAND ARGS"


class Submission(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Body of ``POST /tasks``; what is left out gets the server's default."""

    machine_id: str
    name: str
    kind: str
    command: str
    args: list[str] = []
    env: dict[str, str] = {}
    timeout_s: int | None = None
    priority: int | None = None
    max_retries: int | None = None
    gpus: int | None = None


class Work(msgspec.Struct, frozen=True):
    """What to run: ``command`` means what the protocol says for ``kind``."""

    kind: str
    command: str
    args: list[str]
    name: str


def choose_work(python: Path | None, script: Path | None, command: Sequence[str]) -> Work:
    """Exactly one of a Python file, a script, or a command line. Words after a file are its arguments.

    Raises :class:`UsageError` for none, for two, and for a file that cannot be read.
    """
    if python and script:
        raise UsageError("both --python and --script", "one of them", USAGE)
    if python:
        return Work("python", read_source(python), list(command), python.stem)
    if script:
        source = read_source(script)
        if not source.startswith("#!"):
            raise UsageError(f"{script} begins without #!", "an interpreter line such as #!/bin/sh", "add it")
        return Work("script", source, list(command), script.stem)
    if not command:
        raise UsageError("nothing to run", "a file or a command", USAGE)
    if len(command) == 1:  # one word may be a whole shell line: remotegpu run -- 'nvidia-smi | tee out'
        return Work(
            "shell", command[0], [], Path(command[0].split()[0] if command[0].split() else "task").name
        )
    # The words arrive as $1…: nothing is quoted, so nothing is quoted wrongly.
    return Work("shell", '"$@"', list(command), Path(command[0]).name)


def read_source(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({error.strerror})", "a text file", "check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text", "a text file", "check the path") from error


def parse_timeout(text: str) -> int:
    """Seconds, above zero. Raises :class:`UsageError`."""
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--timeout: {error}", "such as 90s, 15m or 2h", "correct it") from error
    if seconds == 0:
        raise UsageError("--timeout 0", "more than zero", "leave it out for the server's default")
    return seconds


def parse_env(assignments: Sequence[str]) -> dict[str, str]:
    """``K=V`` words → a mapping. Raises :class:`UsageError` for a word without ``=``."""
    pairs: dict[str, str] = {}
    for word in assignments:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError(f"--env {word!r}", "NAME=VALUE", "correct it")
        pairs[key] = value
    return pairs
