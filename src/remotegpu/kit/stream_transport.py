"""An asyncio transport over any channel of byte frames: a protocol such as SSH runs on it without a socket between."""

import asyncio
from collections import deque
from typing import Any, Protocol


class ByteReceiver(Protocol):
    """The part of an asyncio protocol that a channel feeds."""

    def data_received(self, data: bytes, /) -> None: ...

    def connection_lost(self, exc: Exception | None, /) -> None: ...


class Frames(Protocol):
    """A channel of byte frames. ``send`` waits until the other side takes more; False: the channel has ended."""

    async def send(self, body: bytes, /) -> bool: ...

    async def receive(self) -> bytes | None: ...


class StreamTransport(asyncio.Transport):
    """Writes are queued and sent in frames of at most ``frame_bytes``, as fast as the channel takes them.

    The queue is bounded by the protocol above: SSH sends no more than the window its peer granted.
    """

    def __init__(self, frames: Frames, frame_bytes: int) -> None:
        super().__init__({"peername": ("127.0.0.1", 0), "sockname": ("127.0.0.1", 0)})
        self._frames = frames
        self._frame_bytes = frame_bytes
        self._queue: deque[bytes] = deque()
        self._queued = asyncio.Event()
        self._closing = False

    async def run(self, receiver: ByteReceiver) -> None:
        """Move bytes both ways until either side ends."""
        sender, reader = asyncio.create_task(self._send()), asyncio.create_task(self._read(receiver))
        try:
            await asyncio.wait({sender, reader}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.close()
            sender.cancel()
            reader.cancel()
            await asyncio.gather(sender, reader, return_exceptions=True)
            receiver.connection_lost(None)

    async def _send(self) -> None:
        while True:
            await self._queued.wait()
            self._queued.clear()
            while self._queue:
                if not await self._frames.send(self._next_frame()):
                    return
            if self._closing:
                return

    def _next_frame(self) -> bytes:
        """Join small packets and cut large ones."""
        first = self._queue.popleft()
        if len(first) > self._frame_bytes:
            self._queue.appendleft(first[self._frame_bytes :])
            return first[: self._frame_bytes]
        pieces, size = [first], len(first)
        while self._queue and size + len(self._queue[0]) <= self._frame_bytes:
            pieces.append(self._queue.popleft())
            size += len(pieces[-1])
        return first if len(pieces) == 1 else b"".join(pieces)

    async def _read(self, receiver: ByteReceiver) -> None:
        while (body := await self._frames.receive()) is not None:
            receiver.data_received(body)

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:  # Any: the base class says so
        if not self._closing:
            self._queue.append(bytes(data))
            self._queued.set()

    def close(self) -> None:
        self._closing = True
        self._queued.set()

    def abort(self) -> None:
        """As close: a protocol aborts right after its last packet, which has to leave all the same."""
        self.close()

    def is_closing(self) -> bool:
        return self._closing

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return sum(len(piece) for piece in self._queue)
