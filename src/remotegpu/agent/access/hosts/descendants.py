"""Ending every process below this one, whatever session it moved to."""

import ctypes
import os
import signal
import time

_PR_SET_CHILD_SUBREAPER = 36
"""linux/prctl.h: orphans below us become our children instead of init's, so that none escapes."""


def adopt_orphans() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_descendants(patience_s: float) -> None:
    """SIGKILL all of them until none is left or the patience ends (a driver call may hold one for seconds)."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        alive = _descendants(os.getpid())
        if not alive:
            return
        for pid in alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        _reap()
        time.sleep(0.005)


def _descendants(root: int) -> list[int]:
    """Pids below ``root`` that have not ended, from one pass over ``/proc``."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 — pathlib costs an import and an object per process
        if name.isdecimal():
            parent = _living_parent(int(name))
            if parent is not None:
                children.setdefault(parent, []).append(int(name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _living_parent(pid: int) -> int | None:
    """Parent of ``pid``; None for a zombie or one that is gone. Field order as in proc(5)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123 — as above
            state, parent = stat.read().rpartition(b")")[2].split()[:2]
    except OSError:
        return None
    return None if state == b"Z" else int(parent)


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        return
