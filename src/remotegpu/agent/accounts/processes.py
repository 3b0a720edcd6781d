"""Finding and killing the processes of an account through ``/proc``."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

PROC = Path("/proc")
KILL_PATIENCE_S = 10.0
"""How long a killed process may take to disappear (a GPU driver call can hold one for seconds)."""


def pids() -> list[int]:
    """Every process id now in ``/proc``."""
    return [int(entry) for entry in os.listdir(PROC) if entry.isdecimal()]  # noqa: PTH208 — names only, hot path


def uids_of(pid: int) -> tuple[int, ...]:
    """Real, effective, saved and file-system uid of ``pid``; empty when it is gone."""
    try:
        status = (PROC / str(pid) / "status").read_text(errors="replace")
    except OSError:
        return ()
    for line in status.splitlines():
        if line.startswith("Uid:"):
            return tuple(int(field) for field in line.split()[1:])
    return ()


def is_zombie(pid: int) -> bool:
    """True for a process that has ended and merely waits for its parent; False too when it is gone."""
    try:
        stat = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "Z"


def environment_of(pid: int) -> list[bytes]:
    """``KEY=value`` entries ``pid`` was started with; empty when it is gone or not ours to read."""
    try:
        return (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def working_directory_of(pid: int) -> str:
    """Where ``pid`` works; empty when it is gone or not ours to read."""
    try:
        return str((PROC / str(pid) / "cwd").readlink())
    except OSError:
        return ""


def describe(pid: int) -> str:
    """``process 4711 (python3)`` for messages."""
    try:
        name = (PROC / str(pid) / "comm").read_text(errors="replace").strip()
    except OSError:
        name = "ended"
    return f"process {pid} ({name})"


def kill_all(belongs: Callable[[int], bool], patience_s: float = KILL_PATIENCE_S) -> list[int]:
    """SIGKILL every process that ``belongs`` until none is left. Returns those that would not die in time.

    Scanned again after each round, because a process may fork between the scan and its end.
    """
    deadline = time.monotonic() + patience_s
    while True:
        alive = [pid for pid in pids() if pid != os.getpid() and belongs(pid) and not is_zombie(pid)]
        if not alive or time.monotonic() > deadline:
            return alive
        for pid in alive:
            _kill(pid)
        time.sleep(0.02)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
