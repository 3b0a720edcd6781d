"""Frames between the agent and a shell host: one type byte, a big-endian 32-bit length, the payload.

Agent → host: ``ATTACH`` (first; carries the size), ``INPUT``, ``RESIZE``, ``SIGNAL``, ``KILL``.
Host → agent: ``HELLO`` (first; one byte, 1 when the shell was there before), ``OUTPUT``, ``TAKEN`` (another
connection attached), ``EXIT`` (the last; exit code as in ``subprocess``).
"""

import struct
from collections.abc import Callable, Iterator

HEADER = struct.Struct("!cI")
SIZE = struct.Struct("!HHHH")
"""Columns, rows, width and height in pixels."""
EXIT_CODE = struct.Struct("!i")
StructError = struct.error

ATTACH, INPUT, RESIZE, SIGNAL, KILL = b"A", b"I", b"R", b"S", b"K"
HELLO, OUTPUT, TAKEN, EXIT = b"H", b"O", b"T", b"X"

MAX_PAYLOAD = 1024 * 1024
"""Larger lengths mean the two ends lost step."""


class FrameError(Exception):
    """The bytes are not frames; the connection is of no further use."""


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    return HEADER.pack(kind, len(payload)) + payload


class FrameReader:
    """Cuts a byte stream into frames. Not fed beyond what the socket delivers, so it holds one frame at most."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield each complete frame. Raises :class:`FrameError` for an impossible length."""
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            kind, length = HEADER.unpack_from(self._buffer)
            if length > MAX_PAYLOAD:
                raise FrameError(f"frame of {length} bytes, expected at most {MAX_PAYLOAD}")
            end = HEADER.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            yield kind, payload


class OutputReader:
    """Like :class:`FrameReader`, but hands on ``OUTPUT`` piecewise as it arrives: it is a stream, and the bulk."""

    def __init__(self, on_output: Callable[[bytes], None], on_frame: Callable[[bytes, bytes], None]) -> None:
        self._on_output = on_output
        self._on_frame = on_frame
        self._pending = b""
        self._remaining = 0

    def feed(self, data: bytes) -> None:
        """Raises :class:`FrameError` for an impossible length."""
        if self._pending:
            data = self._pending + data
            self._pending = b""
        at = 0
        while at < len(data):
            if self._remaining:
                piece = data[at : at + self._remaining]
                self._remaining -= len(piece)
                at += len(piece)
                self._on_output(piece)
                continue
            taken = self._next_frame(data, at)
            if taken == 0:
                self._pending = data[at:]
                return
            at += taken

    def _next_frame(self, data: bytes, at: int) -> int:
        """Take one header, and the payload unless it is output. Returns the bytes taken, 0 for "not enough yet"."""
        if len(data) - at < HEADER.size:
            return 0
        kind, length = HEADER.unpack_from(data, at)
        if length > MAX_PAYLOAD:
            raise FrameError(f"frame of {length} bytes, expected at most {MAX_PAYLOAD}")
        if kind == OUTPUT:
            self._remaining = length
            return HEADER.size
        if len(data) - at < HEADER.size + length:
            return 0
        start = at + HEADER.size
        self._on_frame(kind, data[start : start + length])
        return HEADER.size + length
