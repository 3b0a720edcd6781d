"""SFTP version 3 on the wire (draft-ietf-secsh-filexfer-02): packets, attributes, status codes."""

import os
import stat
import struct
import time

INIT, VERSION = 1, 2
OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT, OPENDIR, READDIR = 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
REMOVE, MKDIR, RMDIR, REALPATH, STAT, RENAME, READLINK, SYMLINK = 13, 14, 15, 16, 17, 18, 19, 20
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
EXTENDED, EXTENDED_REPLY = 200, 201

OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE, OP_UNSUPPORTED = 0, 1, 2, 3, 4, 5, 8

F_READ, F_WRITE, F_APPEND, F_CREATE, F_TRUNCATE, F_EXCLUSIVE = 1, 2, 4, 8, 16, 32
A_SIZE, A_OWNER, A_MODE, A_TIMES, A_EXTENDED = 1, 2, 4, 8, 0x80000000

MAX_PACKET = 256 * 1024 + 1024
"""As OpenSSH: requests above this end the session."""
MAX_READ = 256 * 1024 - 1024


_HALF_A_YEAR_S = 182 * 86_400


class BadMessageError(Exception):
    """A packet that cannot be read; the session cannot go on."""


class Reader:
    """Takes fields off a packet. Raises :class:`BadMessageError` when one is cut short."""

    def __init__(self, packet: bytes) -> None:
        self._packet = packet
        self._at = 0

    def byte(self) -> int:
        return self._take(1)[0]

    def uint32(self) -> int:
        return int.from_bytes(self._take(4), "big")

    def uint64(self) -> int:
        return int.from_bytes(self._take(8), "big")

    def string(self) -> bytes:
        return self._take(self.uint32())

    def attributes(self) -> "Attributes":
        flags = self.uint32()
        found = Attributes(
            size=self.uint64() if flags & A_SIZE else None,
            owner=(self.uint32(), self.uint32()) if flags & A_OWNER else None,
            mode=self.uint32() if flags & A_MODE else None,
            times=(self.uint32(), self.uint32()) if flags & A_TIMES else None,
        )
        for _ in range(self.uint32() if flags & A_EXTENDED else 0):
            self.string()  # name
            self.string()  # value: none is known to us
        return found

    def _take(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._packet):
            raise BadMessageError(f"packet of {len(self._packet)} bytes ends before byte {end}")
        piece = self._packet[self._at : end]
        self._at = end
        return piece


class Attributes:
    """What a client wants set; None: leave it. ``times``: access and modification, epoch seconds."""

    def __init__(
        self,
        *,
        size: int | None,
        owner: tuple[int, int] | None,
        mode: int | None,
        times: tuple[int, int] | None,
    ) -> None:
        self.size = size
        self.owner = owner
        self.mode = mode
        self.times = times

    def apply(self, target: int | bytes) -> None:
        """To an open file or a path. Raises ``OSError``."""
        if self.size is not None:
            os.truncate(target, self.size)
        if self.mode is not None:
            os.chmod(target, stat.S_IMODE(self.mode))  # noqa: PTH101 — descriptors too
        if self.times is not None:
            os.utime(target, self.times)
        if self.owner is not None:
            os.chown(target, *self.owner)


def string(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def packet(kind: int, body: bytes) -> bytes:
    return struct.pack("!IB", len(body) + 1, kind) + body


def attributes(found: os.stat_result) -> bytes:
    """Size, owner, mode and times of a file."""
    return struct.pack(
        "!IQIIIII",
        A_SIZE | A_OWNER | A_MODE | A_TIMES,
        found.st_size,
        found.st_uid,
        found.st_gid,
        found.st_mode,
        int(found.st_atime) & 0xFFFFFFFF,
        int(found.st_mtime) & 0xFFFFFFFF,
    )


def long_name(name: bytes, found: os.stat_result) -> bytes:
    """The line ``ls -l`` would show; old clients print it as it is."""
    recent = time.time() - found.st_mtime < _HALF_A_YEAR_S
    when = time.strftime("%b %d %H:%M" if recent else "%b %d  %Y", time.localtime(found.st_mtime))
    head = f"{stat.filemode(found.st_mode)} {found.st_nlink:>4} {found.st_uid:<8} {found.st_gid:<8} {found.st_size:>10}"
    return f"{head} {when} ".encode() + name


def statvfs(found: os.statvfs_result) -> bytes:
    """The body of OpenSSH's ``statvfs@openssh.com`` reply. Flags: 1 read-only, 2 no setuid."""
    return struct.pack(
        "!11Q",
        found.f_bsize,
        found.f_frsize,
        found.f_blocks,
        found.f_bfree,
        found.f_bavail,
        found.f_files,
        found.f_ffree,
        found.f_favail,
        found.f_fsid & 0xFFFFFFFFFFFFFFFF,
        found.f_flag & 3,
        found.f_namemax,
    )
