"""The agent's end of a connection to a shell host."""

import asyncio
import os
import signal
import socket
import struct
from typing import cast

from remotegpu.agent.access.hosts import frames
from remotegpu.agent.access.hosts.frames import OutputReader, frame
from remotegpu.agent.access.hosts.terminal import Size
from remotegpu.agent.access.program import Listener

_INPUT_PIECE = 16 * 1024
_CREDENTIALS = struct.Struct("iII")
_LONGEST_SIDE = 2**16 - 1


def server_pid(sock: socket.socket) -> int:
    """The process that serves the other end of a unix socket."""
    pid, _, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return pid


class HostGoneError(Exception):
    """The shell host ended before it answered: connecting again finds none and starts one."""


class ShellLink(asyncio.Protocol):
    """Turns frames into the listener's calls and the session's calls into frames."""

    def __init__(self, listener: Listener, size: Size) -> None:
        self._listener = listener
        self._size = size
        self._reader = OutputReader(listener.on_output, self._on_frame)
        self._transport: asyncio.Transport | None = None
        self._pid = 0
        self._ended = False
        self._answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # -- asyncio's side -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._pid = server_pid(self._transport.get_extra_info("socket"))
        self._send(frames.ATTACH, _pack(self._size))

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
        except frames.FrameError:
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — asyncio names it
        if not self._answered.done():
            self._answered.set_exception(HostGoneError())
        elif not self._ended:
            self._listener.on_lost()
        self._ended = True

    def pause_writing(self) -> None:
        self._listener.pause_input()

    def resume_writing(self) -> None:
        self._listener.resume_input()

    def _on_frame(self, kind: bytes, payload: bytes) -> None:
        if kind == frames.HELLO:
            if not self._answered.done():
                self._answered.set_result(None)
            self._listener.on_attached(resumed=payload == b"\1")
        elif kind == frames.EXIT:
            self._ended = True
            self._listener.on_exit(frames.EXIT_CODE.unpack(payload)[0])
        elif kind == frames.TAKEN:
            self._ended = True
            self._listener.on_taken_over()

    async def answered(self) -> None:
        """Wait for the host's first word. Raises :class:`HostGoneError`."""
        await self._answered

    # -- the session's side -------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), _INPUT_PIECE):
            self._send(frames.INPUT, data[start : start + _INPUT_PIECE])

    def write_eof(self) -> None:
        """A terminal has no end of input; Ctrl-D is a key."""

    def resize(self, size: Size) -> None:
        self._send(frames.RESIZE, _pack(size))

    def signal(self, number: int) -> None:
        self._send(frames.SIGNAL, str(number).encode())

    def pause_output(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_output(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def leave(self) -> None:
        self._ended = True
        if self._transport is not None:
            self._transport.close()

    def kill(self) -> None:
        """SIGTERM is the shell host's word for "kill everything below you". It may be gone already."""
        try:
            os.kill(self._pid, signal.SIGTERM)
        except ProcessLookupError:
            return

    def _send(self, kind: bytes, payload: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(kind, payload))


def _pack(size: Size) -> bytes:
    """SSH sizes are 32 bits wide, the kernel's are 16."""
    columns, rows, width, height = (max(0, min(value, _LONGEST_SIDE)) for value in size)
    return frames.SIZE.pack(columns, rows, width, height)
