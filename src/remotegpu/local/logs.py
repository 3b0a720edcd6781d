"""The children's log files: rotation by size, the last error line, and following."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

ROTATE_BYTES = 8 * 1024 * 1024
KEPT = 3
START_MARK = "=== platform start"
"""Written to every log when the platform starts: errors before it are history."""

_TAIL_BYTES = 64 * 1024
_ERROR = re.compile(r"\b(ERROR|FATAL|PANIC|CRITICAL)\b|^[EF]\d{4} |Traceback|Error: |No space left on device")
_ERROR_LEVELS = frozenset({"error", "critical", "exception", "fatal"})


def rotate(path: Path, limit: int = ROTATE_BYTES) -> bool:
    """Copy aside and truncate when larger than ``limit``: writers append, so they go on in the emptied file.

    What a writer adds between copy and truncation is lost; that is the price for not standing between it and the file.
    """
    if not path.exists() or path.stat().st_size <= limit:
        return False
    for number in range(KEPT - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    first = path.with_name(f"{path.name}.1")
    shutil.copyfile(path, first)
    first.chmod(0o600)
    with path.open("r+b") as stream:
        stream.truncate(0)
    return True


def mark_start(path: Path, at: str, program: str = "") -> None:
    """Begin a chapter in a log. ``program`` is named for logs whose every line is JSON."""
    line = f"{START_MARK} {at}"
    if program:
        line = json.dumps({"time": at, "level": "info", "msg": START_MARK, "program": program})
    with path.open("a", encoding="utf-8") as stream:
        stream.write(f"{line}\n")
    path.chmod(0o600)


def tail(path: Path, size: int = _TAIL_BYTES) -> str:
    """The end of a log; empty when there is none."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - size))
            return stream.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def last_error_line(text: str) -> str:
    """The last line since the platform's start that reports an error, at most 300 characters; else empty."""
    chapter = text.rpartition(START_MARK)[2].partition("\n")[2] if START_MARK in text else text
    for line in reversed(chapter.splitlines()):
        if _reports_error(line):
            return line.strip()[:300]
    return ""


def _reports_error(line: str) -> bool:
    if line.startswith("{"):
        try:
            entry = json.loads(line)
        except ValueError:
            return False
        return isinstance(entry, dict) and str(entry.get("level", "")).lower() in _ERROR_LEVELS
    return _ERROR.search(line) is not None


def excerpt(path: Path, lines: int = 12) -> str:
    """The last lines since the platform's start, indented, for an error message."""
    chapter = tail(path).rpartition(START_MARK)[2]
    kept = [line for line in chapter.splitlines()[1:] if line.strip()][-lines:]
    return "\n".join(f"    {line[:400]}" for line in kept) or "    (its log is empty)"


def follow(path: Path, *, start: int) -> Iterator[str]:
    """Endless: each step gives the text added since the one before (often none). Begins anew after a rotation."""
    position = start
    while True:
        size = path.stat().st_size if path.exists() else 0
        if size < position:
            position = 0
        added = b""
        if size > position:
            with path.open("rb") as stream:
                stream.seek(position)
                added = stream.read(size - position)
        position += len(added)
        yield added.decode(errors="replace")
