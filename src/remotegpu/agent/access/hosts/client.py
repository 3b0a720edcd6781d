"""One connection of the agent to a shell host."""

import socket

from remotegpu.agent.access.hosts.frames import OUTPUT, FrameReader, frame

_READ_BYTES = 64 * 1024
OUTPUT_HIGH_WATER = 256 * 1024
"""Unsent bytes above which the host stops reading the terminal: the program is slowed down, memory does not grow."""


class Client:
    """Buffers what the socket does not take at once. ``attached`` once it has said so."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.setblocking(False)
        self.frames = FrameReader()
        self.leaving_at: float | None = None
        """Monotonic time by which it is dropped even if it has not taken its last frames."""
        self._unsent = bytearray()

    def fileno(self) -> int:
        return self.sock.fileno()

    @property
    def wants_to_write(self) -> bool:
        return bool(self._unsent)

    @property
    def is_slow(self) -> bool:
        return len(self._unsent) > OUTPUT_HIGH_WATER

    def read(self) -> bytes | None:
        """Bytes from the agent; None when the connection has ended, ``b""`` for "later"."""
        try:
            data = self.sock.recv(_READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError:
            return None
        return data or None

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        self._unsent += frame(kind, payload)
        self.flush()

    def send_output(self, data: bytes) -> None:
        """Output in frames of at most 64 KiB."""
        for start in range(0, len(data), _READ_BYTES):
            self.send(OUTPUT, data[start : start + _READ_BYTES])

    def flush(self) -> bool:
        """Send what the socket takes. False when the connection is broken."""
        while self._unsent:
            try:
                sent = self.sock.send(self._unsent)
            except BlockingIOError:
                return True
            except OSError:
                self._unsent.clear()
                return False
            del self._unsent[:sent]
        return True

    def give_up(self) -> None:
        """Let go of a connection that does not take its last frames: its own end then shows as an event."""
        self._unsent.clear()
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is gone already

    def close(self) -> None:
        self.sock.close()
