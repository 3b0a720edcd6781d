"""Facts about running processes from Linux's ``/proc`` (man 5 proc). Reads only."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_LISTEN = "0A"


@dataclass(frozen=True)
class Identity:
    """One process, told apart from a later one with the same pid by when it started, and in which boot."""

    pid: int
    start_ticks: int
    boot: str


@dataclass(frozen=True)
class Stat:
    """The part of ``/proc/PID/stat`` that is used here. ``start_ticks``: clock ticks after boot."""

    state: str
    parent: int
    group: int
    session: int
    start_ticks: int


def boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def stat(pid: int) -> Stat | None:
    """None when there is no such process. The command name may hold spaces and parentheses, hence the last ``)``."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return Stat(
        state=fields[0],
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        start_ticks=int(fields[19]),
    )


def identity(pid: int) -> Identity | None:
    found = stat(pid)
    return Identity(pid=pid, start_ticks=found.start_ticks, boot=boot_id()) if found else None


def is_alive(process: Identity) -> bool:
    """True while that very process runs; a zombie counts as gone."""
    found = stat(process.pid)
    return (
        found is not None
        and found.start_ticks == process.start_ticks
        and found.state not in {"Z", "X"}
        and boot_id() == process.boot
    )


def pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()]


def working_directory(pid: int) -> Path | None:
    """None when the process is gone or belongs to somebody whose details we may not read."""
    try:
        return (_PROC / str(pid) / "cwd").readlink()
    except OSError:
        return None


def environment_has(pid: int, assignment: str) -> bool:
    """Whether the process was started with ``NAME=value``; False when we may not look."""
    try:
        variables = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return assignment.encode() in variables


def age_seconds(process: Identity) -> float:
    """How long ago the process started."""
    uptime = float((_PROC / "uptime").read_text(encoding="ascii").split()[0])
    return max(0.0, uptime - process.start_ticks / os.sysconf("SC_CLK_TCK"))


def descendants(pid: int) -> list[int]:
    """``pid`` and all below it, as of one pass over ``/proc``."""
    children: dict[int, list[int]] = {}
    for candidate in pids():
        found = stat(candidate)
        if found:
            children.setdefault(found.parent, []).append(candidate)
    tree: list[int] = []
    pending = [pid]
    while pending:
        current = pending.pop()
        tree.append(current)
        pending.extend(children.get(current, []))
    return tree


def memory_bytes(pid: int, *, same_session: bool) -> int:
    """Proportional set size of the process and its descendants: shared pages counted once between them.

    ``same_session`` leaves out descendants that made a session of their own (the agent's tasks and shells).
    """
    leader = stat(pid)
    if leader is None:
        return 0
    total = 0
    for member in descendants(pid):
        found = stat(member)
        if found and (not same_session or found.session == leader.session):
            total += _proportional_bytes(member)
    return total


def _proportional_bytes(pid: int) -> int:
    try:
        text = (_PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def listener(port: int) -> str | None:
    """``"pid 123 (nginx)"`` for who listens on a TCP port; None when the kernel does not let us see."""
    inodes = _listening_inodes(port)
    for pid in pids() if inodes else []:
        if _open_files(pid) & inodes:
            return f"pid {pid} ({_command_name(pid)})"
    return None


def _open_files(pid: int) -> set[str]:
    """What the process's descriptors point at; empty when it is not ours to see."""
    found: set[str] = set()
    try:
        entries = list((_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return found
    for entry in entries:
        try:
            found.add(str(entry.readlink()))
        except OSError:
            continue  # closed since it was listed
    return found


def _command_name(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "gone by now"


def _listening_inodes(port: int) -> set[str]:
    found: set[str] = set()
    for table in ("net/tcp", "net/tcp6"):
        try:
            lines = (_PROC / table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found


def wait_gone(processes: list[Identity], timeout_s: float) -> list[Identity]:
    """Wait until all have ended; the ones that have not after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    remaining = [process for process in processes if is_alive(process)]
    while remaining and time.monotonic() < deadline:
        time.sleep(0.02)
        remaining = [process for process in remaining if is_alive(process)]
    return remaining
