"""A dialled stream: the agent's end of a WebSocket, as the transport that asyncssh reads and writes."""

import asyncio

import aiohttp
import structlog

from remotegpu.kit.stream_transport import ByteReceiver, StreamTransport
from remotegpu.protocol.streams import CLOSE_NORMAL, FRAME_BYTES

_LOG = structlog.get_logger(__name__)
_FLUSH_PATIENCE_S = 5.0
"""How long the last bytes of a closed connection may take to leave: its client may have stopped reading."""
_CLOSE_PATIENCE_S = 2.0


class _Frames:
    """Binary frames of a WebSocket. Anything else ends the channel."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, body: bytes, /) -> bool:
        try:
            await self._socket.send_bytes(body)
        except (ConnectionError, aiohttp.ClientError):
            return False
        return True

    async def receive(self) -> bytes | None:
        message = await self._socket.receive()
        return message.data if message.type is aiohttp.WSMsgType.BINARY else None


class AgentStream(StreamTransport):
    """Ends in one of three ways: the server closes it, asyncssh does, or access has ended."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        super().__init__(_Frames(socket), FRAME_BYTES)
        self._socket = socket
        self._ending = asyncio.Event()
        self._patience_s = _FLUSH_PATIENCE_S
        self._close_code = CLOSE_NORMAL
        self._close_reason = ""

    async def run(self, receiver: ByteReceiver) -> None:
        """Move bytes both ways until the end, then close the WebSocket with the code that says why."""
        moving = asyncio.create_task(super().run(receiver))
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait({moving, ending}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({moving}, timeout=self._patience_s)
        finally:
            moving.cancel()
            ending.cancel()
            await asyncio.gather(moving, ending, return_exceptions=True)
            await self._close_socket()

    def close(self) -> None:
        super().close()
        self._ending.set()

    def end(self, code: int, reason: str) -> None:
        """Close at once, also when the other side does not read; ``code`` and ``reason`` tell it why."""
        self._close_code, self._close_reason = code, reason
        self._patience_s = 0.0
        self.close()

    async def _close_socket(self) -> None:
        # A reason is at most 123 bytes of UTF-8 (RFC 6455, 5.5).
        reason = self._close_reason.encode()[:123]
        try:
            async with asyncio.timeout(_CLOSE_PATIENCE_S):
                await self._socket.close(code=self._close_code, message=reason)
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            _LOG.info("stream_close_failed", reason=repr(error))
