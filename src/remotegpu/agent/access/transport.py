"""An asyncio transport over a WebSocket: asyncssh reads and writes the stream without a socket in between."""

import asyncio
from collections import deque
from typing import Any, Protocol

import aiohttp
import structlog

from remotegpu.protocol.streams import CLOSE_NORMAL, FRAME_BYTES

_LOG = structlog.get_logger(__name__)
_FLUSH_PATIENCE_S = 5.0
"""How long the last bytes of a closed connection may take to leave."""


class ByteReceiver(Protocol):
    """The part of an asyncio protocol that a stream feeds."""

    def data_received(self, data: bytes, /) -> None: ...

    def connection_lost(self, exc: Exception | None, /) -> None: ...


class StreamTransport(asyncio.Transport):
    """Writes are queued and sent in frames of at most ``FRAME_BYTES``, as fast as the WebSocket takes them.

    The queue is bounded by SSH itself: a channel sends no more than the window its client granted (2 MiB).
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        super().__init__({"peername": ("127.0.0.1", 0), "sockname": ("127.0.0.1", 0)})
        self._socket = socket
        self._queue: deque[bytes] = deque()
        self._queued = asyncio.Event()
        self._closing = False
        self._close_code = CLOSE_NORMAL
        self._close_reason = ""

    async def run(self, receiver: ByteReceiver) -> None:
        """Move bytes both ways until either side ends, then close the WebSocket."""
        sender = asyncio.create_task(self._send())
        reader = asyncio.create_task(self._read(receiver))
        try:
            await asyncio.wait({sender, reader}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._closing = True
            self._queued.set()
            reader.cancel()
            await asyncio.wait({sender}, timeout=_FLUSH_PATIENCE_S)
            sender.cancel()
            await asyncio.gather(sender, reader, return_exceptions=True)
            receiver.connection_lost(None)
            await self._close_socket()

    def end(self, code: int, reason: str) -> None:
        """Close with a WebSocket close code that tells the other side why, dropping what is not sent yet."""
        self._close_code, self._close_reason = code, reason
        self._queue.clear()
        self.close()

    async def _send(self) -> None:
        while True:
            await self._queued.wait()
            self._queued.clear()
            while self._queue:
                await self._socket.send_bytes(self._next_frame())
            if self._closing:
                return

    def _next_frame(self) -> bytes:
        """Join small packets and cut large ones."""
        first = self._queue.popleft()
        if len(first) > FRAME_BYTES:
            self._queue.appendleft(first[FRAME_BYTES:])
            return first[:FRAME_BYTES]
        pieces, size = [first], len(first)
        while self._queue and size + len(self._queue[0]) <= FRAME_BYTES:
            pieces.append(self._queue.popleft())
            size += len(pieces[-1])
        return first if len(pieces) == 1 else b"".join(pieces)

    async def _read(self, receiver: ByteReceiver) -> None:
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                receiver.data_received(message.data)
            elif message.type is aiohttp.WSMsgType.ERROR:
                _LOG.info("stream_broken", reason=str(message.data))
                return

    async def _close_socket(self) -> None:
        # A reason is at most 123 bytes of UTF-8 (RFC 6455, 5.5).
        reason = self._close_reason.encode()[:123]
        try:
            async with asyncio.timeout(_FLUSH_PATIENCE_S):
                await self._socket.close(code=self._close_code, message=reason)
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            _LOG.info("stream_close_failed", reason=repr(error))

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:  # Any: the base class says so
        if not self._closing:
            self._queue.append(bytes(data))
            self._queued.set()

    def close(self) -> None:
        self._closing = True
        self._queued.set()

    def abort(self) -> None:
        """As close: asyncssh aborts right after its last packet, which has to leave all the same."""
        self.close()

    def is_closing(self) -> bool:
        return self._closing

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return sum(len(piece) for piece in self._queue)
