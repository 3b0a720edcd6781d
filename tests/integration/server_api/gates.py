"""Doors between the server and what it needs, which a test can shut, or leave open with nobody behind them."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Self


class Gate:
    """A TCP proxy. ``shut`` refuses and cuts; ``freeze`` keeps connections open and passes nothing on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, host: str, port: int) -> None:
        self._loop = loop
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._passing = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    def open(self) -> Self:
        self._call(self._open())
        return self

    def shut(self) -> None:
        self._call(self._shut())

    def freeze(self) -> None:
        self._loop.call_soon_threadsafe(self._passing.clear)

    def _call(self, work: "asyncio.Future[None] | object") -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)  # pyright: ignore[reportArgumentType]

    async def _open(self) -> None:
        self._passing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                there, back = await asyncio.open_connection(*self._target)
                try:
                    copies = [
                        asyncio.create_task(self._copy(reader, back)),
                        asyncio.create_task(self._copy(there, writer)),
                    ]
                    try:
                        await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        for copy in copies:
                            copy.cancel()
                finally:
                    back.transport.abort()
        finally:
            writer.transport.abort()
            self._connections.discard(task)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while body := await reader.read(65_536):
                await self._passing.wait()
                writer.write(body)
                await writer.drain()


class Gates:
    """The three doors, served from a thread of their own, since starting a server blocks the test's."""

    def __init__(self, env: dict[str, str], loop: asyncio.AbstractEventLoop) -> None:
        host, _, port = env["REDIS_ADDR"].rpartition(":")
        s3_host, _, s3_port = env["S3_ENDPOINT"].removeprefix("http://").rpartition(":")
        self.database = Gate(loop, env["DB_HOST"], int(env["DB_PORT"]))
        self.redis = Gate(loop, host, int(port))
        self.objects = Gate(loop, s3_host, int(s3_port))

    def all(self) -> list[Gate]:
        return [self.database, self.redis, self.objects]

    def through(self, env: dict[str, str]) -> dict[str, str]:
        """The server's variables, leading through the doors."""
        return {
            **env,
            "DB_HOST": "127.0.0.1",
            "DB_PORT": str(self.database.port),
            "REDIS_ADDR": f"127.0.0.1:{self.redis.port}",
            "S3_ENDPOINT": f"http://127.0.0.1:{self.objects.port}",
        }


@contextlib.contextmanager
def gates(env: dict[str, str]) -> Iterator[Gates]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="gates", daemon=True)
    thread.start()
    opened = Gates(env, loop)
    try:
        for gate in opened.all():
            gate.open()
        yield opened
    finally:
        for gate in opened.all():
            gate.shut()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)
