"""SFTP version 3 over standard input and output, as the account's user, for hosts without OpenSSH's own server.

What the customer may touch is decided by the kernel: the process has the customer's identity and no other.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import cast

from remotegpu.agent.access.hosts import sftp_wire as wire
from remotegpu.agent.access.hosts.identity import Identity, become
from remotegpu.agent.access.hosts.sftp_wire import Reader, packet, string

_EXTENSIONS = (
    (b"posix-rename@openssh.com", b"1"),
    (b"statvfs@openssh.com", b"2"),
    (b"fstatvfs@openssh.com", b"2"),
    (b"hardlink@openssh.com", b"1"),
    (b"fsync@openssh.com", b"1"),
    (b"limits@openssh.com", b"1"),
)
_ENTRIES_PER_REPLY = 100
_MAX_HANDLES = 512
_Listing = Iterator["os.DirEntry[bytes]"]


class _RefusedError(Exception):
    """A request answered with a status other than what its ``errno`` says."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class SftpServer:
    """Answers one packet at a time, in order."""

    def __init__(self) -> None:
        self._handles: dict[bytes, int | tuple[bytes, _Listing]] = {}
        self._next_handle = 0
        self._requests: dict[int, Callable[[Reader], bytes]] = {
            wire.OPEN: self._open,
            wire.CLOSE: self._close,
            wire.READ: self._read,
            wire.WRITE: self._write,
            wire.LSTAT: lambda r: packet_of_attributes(os.lstat(r.string())),
            wire.STAT: lambda r: packet_of_attributes(os.stat(r.string())),  # noqa: PTH116 — bytes paths
            wire.FSTAT: lambda r: packet_of_attributes(os.fstat(self._file(r.string()))),
            wire.SETSTAT: self._setstat,
            wire.FSETSTAT: self._fsetstat,
            wire.OPENDIR: self._opendir,
            wire.READDIR: self._readdir,
            wire.REMOVE: lambda r: _done(os.unlink, r.string()),
            wire.MKDIR: self._mkdir,
            wire.RMDIR: lambda r: _done(os.rmdir, r.string()),
            wire.REALPATH: lambda r: _names([(os.path.realpath(r.string() or b"."), None)]),
            wire.READLINK: lambda r: _names([(os.readlink(r.string()), None)]),  # noqa: PTH115 — bytes paths
            wire.RENAME: self._rename,
            # OpenSSH's order, against the draft: first the target, then the link.
            wire.SYMLINK: lambda r: _done(os.symlink, r.string(), r.string()),
            wire.EXTENDED: self._extended,
        }

    def answer(self, request: bytes) -> bytes:
        """The reply to one packet. Raises :class:`BadMessageError` when it cannot be read at all."""
        reader = Reader(request)
        kind = reader.byte()
        if kind == wire.INIT:
            extensions = b"".join(string(name) + string(value) for name, value in _EXTENSIONS)
            return packet(wire.VERSION, (3).to_bytes(4, "big") + extensions)
        number = reader.uint32()
        try:
            reply = self._perform(kind, reader)
        except OSError as error:
            reply = _status(_code(error), error.strerror or str(error))
        except _RefusedError as error:
            reply = _status(error.code, str(error))
        except ValueError as error:  # a NUL byte in a path
            reply = _status(wire.FAILURE, str(error))
        return packet(reply[0], number.to_bytes(4, "big") + reply[1:])

    def _perform(self, kind: int, reader: Reader) -> bytes:
        perform = self._requests.get(kind)
        if perform is None:
            raise _RefusedError(wire.OP_UNSUPPORTED, f"request {kind} is not supported")
        return perform(reader)

    # -- files ----------------------------------------------------------------------------------------------------

    def _open(self, reader: Reader) -> bytes:
        path, flags, attributes = reader.string(), reader.uint32(), reader.attributes()
        mode = 0o666 if attributes.mode is None else attributes.mode & 0o7777
        return self._keep(os.open(path, _open_flags(flags), mode))

    def _read(self, reader: Reader) -> bytes:
        file, offset, length = self._file(reader.string()), reader.uint64(), reader.uint32()
        data = os.pread(file, min(length, wire.MAX_READ), offset)
        if not data and length:
            raise _RefusedError(wire.EOF, "end of file")
        return bytes([wire.DATA]) + string(data)

    def _write(self, reader: Reader) -> bytes:
        file, offset, data = self._file(reader.string()), reader.uint64(), reader.string()
        while data:
            written = os.pwrite(file, data, offset)
            data, offset = data[written:], offset + written
        return _status(wire.OK)

    def _close(self, reader: Reader) -> bytes:
        kept = self._handles.pop(reader.string(), None)
        if kept is None:
            raise _RefusedError(wire.FAILURE, "no such handle")
        if isinstance(kept, int):
            os.close(kept)
        return _status(wire.OK)

    def _setstat(self, reader: Reader) -> bytes:
        path = reader.string()
        return _done(reader.attributes().apply, path)

    def _fsetstat(self, reader: Reader) -> bytes:
        file = self._file(reader.string())
        return _done(reader.attributes().apply, file)

    # -- names ----------------------------------------------------------------------------------------------------

    def _opendir(self, reader: Reader) -> bytes:
        path = reader.string()
        return self._keep((path, os.scandir(path)))

    def _readdir(self, reader: Reader) -> bytes:
        kept = self._handles.get(reader.string())
        if not isinstance(kept, tuple):
            raise _RefusedError(wire.FAILURE, "not a directory handle")
        entries: list[tuple[bytes, os.stat_result | None]] = []
        for entry in kept[1]:
            entries.append((entry.name, _lstat_or_none(entry)))
            if len(entries) == _ENTRIES_PER_REPLY:
                break
        if not entries:
            raise _RefusedError(wire.EOF, "end of directory")
        return _names(entries)

    def _mkdir(self, reader: Reader) -> bytes:
        path, attributes = reader.string(), reader.attributes()
        return _done(os.mkdir, path, 0o777 if attributes.mode is None else attributes.mode & 0o777)

    def _rename(self, reader: Reader) -> bytes:
        """The draft's rename never replaces; ``posix-rename`` does."""
        old, new = reader.string(), reader.string()
        if os.path.lexists(new):
            raise _RefusedError(wire.FAILURE, "the new name exists")
        return _done(os.rename, old, new)

    def _extended(self, reader: Reader) -> bytes:
        name = reader.string()
        if name == b"posix-rename@openssh.com":
            return _done(os.replace, reader.string(), reader.string())
        if name == b"hardlink@openssh.com":
            return _done(os.link, reader.string(), reader.string())
        if name == b"fsync@openssh.com":
            return _done(os.fsync, self._file(reader.string()))
        if name == b"statvfs@openssh.com":
            return bytes([wire.EXTENDED_REPLY]) + wire.statvfs(os.statvfs(reader.string()))
        if name == b"fstatvfs@openssh.com":
            return bytes([wire.EXTENDED_REPLY]) + wire.statvfs(os.statvfs(self._file(reader.string())))
        if name == b"limits@openssh.com":
            limits = (wire.MAX_PACKET, wire.MAX_READ, wire.MAX_READ, _MAX_HANDLES)
            return bytes([wire.EXTENDED_REPLY]) + b"".join(value.to_bytes(8, "big") for value in limits)
        raise _RefusedError(
            wire.OP_UNSUPPORTED, f"extension {name.decode('ascii', 'replace')} is not supported"
        )

    # -- handles --------------------------------------------------------------------------------------------------

    def _keep(self, what: "int | tuple[bytes, _Listing]") -> bytes:
        if len(self._handles) >= _MAX_HANDLES:
            if isinstance(what, int):
                os.close(what)
            raise _RefusedError(wire.FAILURE, f"more than {_MAX_HANDLES} open handles")
        self._next_handle += 1
        handle = self._next_handle.to_bytes(4, "big")
        self._handles[handle] = what
        return bytes([wire.HANDLE]) + string(handle)

    def _file(self, handle: bytes) -> int:
        kept = self._handles.get(handle)
        if not isinstance(kept, int):
            raise _RefusedError(wire.FAILURE, "no such file handle")
        return kept


def packet_of_attributes(found: os.stat_result) -> bytes:
    return bytes([wire.ATTRS]) + wire.attributes(found)


def _status(code: int, message: str = "") -> bytes:
    return bytes([wire.STATUS]) + code.to_bytes(4, "big") + string(message.encode()) + string(b"en")


def _done(action: Callable[..., object], *arguments: object) -> bytes:
    action(*arguments)
    return _status(wire.OK)


def _names(entries: list[tuple[bytes, os.stat_result | None]]) -> bytes:
    """Entries without a known status (REALPATH, READLINK, a file that just vanished) carry empty attributes."""
    body = b"".join(
        string(name)
        + (string(name) if found is None else string(wire.long_name(name, found)))
        + (bytes(4) if found is None else wire.attributes(found))
        for name, found in entries
    )
    return bytes([wire.NAME]) + len(entries).to_bytes(4, "big") + body


def _lstat_or_none(entry: "os.DirEntry[bytes]") -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError:
        return None


def _open_flags(flags: int) -> int:
    access = {wire.F_READ: os.O_RDONLY, wire.F_WRITE: os.O_WRONLY}.get(flags & 3, os.O_RDWR)
    pairs = (
        (wire.F_APPEND, os.O_APPEND),
        (wire.F_CREATE, os.O_CREAT),
        (wire.F_TRUNCATE, os.O_TRUNC),
        (wire.F_EXCLUSIVE, os.O_EXCL),
    )
    return access | os.O_CLOEXEC | sum(flag for wanted, flag in pairs if flags & wanted)


def _code(error: OSError) -> int:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return wire.NO_SUCH_FILE
    return wire.PERMISSION_DENIED if isinstance(error, PermissionError) else wire.FAILURE


def arguments(identity: Identity) -> list[str]:
    """Command line arguments that make the process ``identity``."""
    return [json.dumps(identity)]


def main(args: list[str]) -> int:
    """Serve standard input until it ends."""
    become(cast("Identity", json.loads(args[0])))
    server = SftpServer()
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    while len(head := requests.read(4)) == 4:
        length = int.from_bytes(head, "big")
        if not 1 <= length <= wire.MAX_PACKET:
            return 1
        try:
            replies.write(server.answer(requests.read(length)))
        except wire.BadMessageError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        replies.flush()
    return 0
