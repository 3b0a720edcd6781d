"""Starting attempt host processes: one standing by, its interpreter warm, and cold ones when that is not enough."""

import os
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

HOST_PROGRAM = Path(__file__).with_name("attempt_host.py")


@dataclass(frozen=True, slots=True)
class Launched:
    """A host process and the pipe on which it says that the command runs. The caller closes the pipe."""

    pid: int
    announcement: int


@dataclass(frozen=True, slots=True)
class _Standby:
    pid: int
    orders: int
    announcement: int


def host_command(directory: Path | None) -> list[str]:
    """Argument list of a host process; without a directory it stands by.

    The one place to put it somewhere else than under the agent: where systemd runs, a transient scope goes here.
    """
    tail = [] if directory is None else [str(directory)]
    return [sys.executable, "-I", "-S", str(HOST_PROGRAM), *tail]


class HostLauncher:
    """Starts host processes in sessions of their own. Thread-safe; blocks for about a millisecond each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._standby: _Standby | None = None

    def launch(self, directory: Path) -> Launched:
        """Hand ``directory`` to the process standing by, or to a new one."""
        with self._lock:
            standby, self._standby = self._standby, None
        if standby is not None and _order(standby, directory):
            return Launched(standby.pid, standby.announcement)
        read_end, write_end = os.pipe()
        pid = _spawn(host_command(directory), stdin=None, stdout=write_end)
        os.close(write_end)
        return Launched(pid, read_end)

    def refill(self) -> None:
        """Have a process stand by for the next attempt."""
        with self._lock:
            if self._standby is None:
                self._standby = _stand_by()

    def close(self) -> None:
        """Let the process standing by end."""
        standby, self._standby = self._standby, None
        if standby is not None:
            os.close(standby.orders)
            os.close(standby.announcement)
            os.waitpid(standby.pid, 0)


def _stand_by() -> _Standby:
    orders_read, orders_write = os.pipe()
    read_end, write_end = os.pipe()
    pid = _spawn(host_command(None), stdin=orders_read, stdout=write_end)
    os.close(orders_read)
    os.close(write_end)
    return _Standby(pid, orders_write, read_end)


def _order(standby: _Standby, directory: Path) -> bool:
    """False when the process standing by has died meanwhile."""
    try:
        os.write(standby.orders, os.fsencode(directory) + b"\n")
    except BrokenPipeError:
        os.close(standby.announcement)
        os.waitpid(standby.pid, 0)
        return False
    finally:
        os.close(standby.orders)
    return True


def _spawn(command: list[str], *, stdin: int | None, stdout: int) -> int:
    inputs = (
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        if stdin is None
        else (os.POSIX_SPAWN_DUP2, stdin, 0)
    )
    return os.posix_spawn(
        command[0],
        command,
        {"PATH": os.defpath, "LANG": "C.UTF-8"},  # nothing of the agent's environment, which holds its token
        file_actions=[inputs, (os.POSIX_SPAWN_DUP2, stdout, 1)],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGPIPE, signal.SIGTERM, signal.SIGINT],
    )
