"""A pseudo-terminal with a process of the customer on it."""

import fcntl
import os
import signal
import struct
import termios
from typing import TypedDict

from remotegpu.agent.access.hosts.identity import Identity, become

Size = tuple[int, int, int, int]
"""Columns, rows, width and height in pixels."""

_READ_BYTES = 64 * 1024
_IUTF8 = 0x4000
"""Linux: erase whole UTF-8 characters in line mode. The termios module has no name for it."""


class Command(TypedDict):
    """``argv[0]`` starts with ``-`` for a login shell; ``executable`` is what really runs."""

    executable: str
    argv: list[str]
    env: dict[str, str]


class Terminal:
    """Owns the master side. ``pid`` is the session leader on the other side."""

    def __init__(self, command: Command, identity: Identity, size: Size) -> None:
        self.fd, slave = os.openpty()
        self.resize(size)
        _prepare(slave, identity)
        self.pid = os.fork()
        if self.pid == 0:
            _run(slave, command, identity)
        os.close(slave)
        os.set_blocking(self.fd, False)

    def read(self) -> bytes | None:
        """What is there, up to 64 KiB (the kernel hands out 4 KiB a time). None at the end, ``b""`` for "later"."""
        pieces: list[bytes] = []
        total = 0
        while total < _READ_BYTES:
            try:
                piece = os.read(self.fd, _READ_BYTES)
            except BlockingIOError:
                break
            except OSError:  # EIO: the last process closed its side
                piece = b""
            if not piece:
                return b"".join(pieces) if pieces else None
            pieces.append(piece)
            total += len(piece)
        return b"".join(pieces)

    def write(self, data: bytes) -> int:
        """How many bytes the terminal took now; 0 when nobody reads its input."""
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0
        except OSError:  # EIO: nobody is left to read it
            return len(data)

    def resize(self, size: Size) -> None:
        """Set the size. The kernel signals the foreground programs if it differs."""
        columns, rows, width, height = size
        if columns > 0 and rows > 0:
            fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, width, height))

    def size(self) -> Size:
        rows, columns, width, height = struct.unpack(
            "HHHH", fcntl.ioctl(self.fd, termios.TIOCGWINSZ, b"\0" * 8)
        )
        return columns, rows, width, height

    def signal(self, number: int) -> None:
        """Send ``number`` to the foreground programs, or to the shell when there is none."""
        try:
            group = os.tcgetpgrp(self.fd)
        except OSError:
            group = 0
        try:
            os.killpg(group if group > 0 else self.pid, number)
        except ProcessLookupError:
            return


def _prepare(slave: int, identity: Identity) -> None:
    """Own it as login does: the customer's user, group tty, nobody else writes to it."""
    modes = termios.tcgetattr(slave)
    modes[0] |= _IUTF8
    termios.tcsetattr(slave, termios.TCSANOW, modes)
    uid = identity["uid"]
    if uid is not None:
        os.fchown(slave, uid, -1)
        os.fchmod(slave, 0o620)


def _run(slave: int, command: Command, identity: Identity) -> None:
    """In the child: never returns."""
    try:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for fd in (0, 1, 2):
            os.dup2(slave, fd)
        os.closerange(3, 4096)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            if signal.getsignal(number) is not signal.SIG_DFL:
                signal.signal(number, signal.SIG_DFL)
        become(identity)
        os.umask(0o022)
        os.execve(command["executable"], command["argv"], command["env"])  # noqa: S606 — that is the job
    except OSError as error:
        os.write(2, f"cannot start {command['executable']}: {error}\r\n".encode())
    finally:
        os._exit(127)
