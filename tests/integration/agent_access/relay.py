"""A server made for these tests: takes the agent's streams and splices each to a TCP client on loopback.

``ssh -p PORT 127.0.0.1`` against it is what a customer's ``ssh`` through the platform's gateway is.
"""

import asyncio
import itertools
from collections.abc import Callable

import aiohttp
from aiohttp import web

from remotegpu.protocol.streams import FRAME_BYTES
from remotegpu.protocol.sync import StreamSpec


class Relay:
    """``on_streams`` is told the streams wanted whenever that changes: the desired state's part."""

    def __init__(self) -> None:
        self.on_streams: Callable[[list[StreamSpec]], None] = lambda _: None
        self.streams: list[StreamSpec] = []
        self.close_codes: list[tuple[int | None, str]] = []
        self.http_port = 0
        self.tcp_port = 0
        self.refuse_with: int | None = None
        self.dials = 0
        self._waiting: dict[str, asyncio.Future[web.WebSocketResponse]] = {}
        self._done: dict[str, asyncio.Event] = {}
        self._ids = itertools.count()
        self._sockets: set[web.WebSocketResponse] = set()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/api/v1/agent/streams/{stream_id}", self._on_dial)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.http_port = self._runner.addresses[0][1]
        self._tcp = await asyncio.start_server(self._on_client, "127.0.0.1", 0, limit=FRAME_BYTES)
        self.tcp_port = self._tcp.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._tcp.close()
        for socket in list(self._sockets):
            await socket.close()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    async def open_stream(self) -> tuple[web.WebSocketResponse, Callable[[], None]]:
        """Ask the agent for a stream and wait until it has dialled. The second value lets the agent's call end."""
        stream_id = f"stream-{next(self._ids)}"
        self._waiting[stream_id] = asyncio.get_running_loop().create_future()
        self._done[stream_id] = asyncio.Event()
        self.streams = [
            *self.streams,
            StreamSpec(stream_id=stream_id, path=f"/api/v1/agent/streams/{stream_id}?via=t"),
        ]
        self.on_streams(self.streams)
        socket = await asyncio.wait_for(self._waiting[stream_id], 10)
        self.streams = [spec for spec in self.streams if spec.stream_id != stream_id]
        self.on_streams(self.streams)
        return socket, self._done[stream_id].set

    async def _on_dial(self, request: web.Request) -> web.StreamResponse:
        self.dials += 1
        if self.refuse_with is not None:
            return web.Response(status=self.refuse_with)
        socket = web.WebSocketResponse(max_msg_size=FRAME_BYTES, compress=False)
        await socket.prepare(request)
        self._sockets.add(socket)
        stream_id = request.match_info["stream_id"]
        self._waiting[stream_id].set_result(socket)
        await self._done[stream_id].wait()
        self._sockets.discard(socket)
        return socket

    async def _on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        socket, finish = await self.open_stream()
        upward = asyncio.create_task(self._upward(reader, socket))
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    writer.write(message.data)
                    await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.close_codes.append((socket.close_code, ""))
            writer.close()
            upward.cancel()
            finish()

    async def _upward(self, reader: asyncio.StreamReader, socket: web.WebSocketResponse) -> None:
        while data := await reader.read(FRAME_BYTES):
            await socket.send_bytes(data)
        await socket.close()
