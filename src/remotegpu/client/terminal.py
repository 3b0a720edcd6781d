"""A shell on a machine through the browser terminal's WebSocket, for programs that type and read."""

import asyncio
import re
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
import msgspec

from remotegpu.client.api import Api
from remotegpu.client.errors import ClientError

ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*(?:\x07|\x1b\\)|[@-_])")
"""Control sequences a shell prints around its text (colours, window title, bracketed paste)."""


class Ticket(msgspec.Struct):
    ticket: str


class Control(msgspec.Struct):
    """Text frames of the terminal: ``ready``, ``exit`` with ``code``, ``closed`` with ``reason``."""

    type: str
    session_id: str = ""
    code: int | None = None
    reason: str = ""


class Closed(msgspec.Struct):
    """How the server ended it: WebSocket close code, and the reason it gave."""

    code: int
    reason: str


class Terminal:
    """One open shell. ``output`` holds everything it printed, without control sequences."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._raw = bytearray()
        self._reason = ""
        self._news = asyncio.Event()
        self._ready = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    @property
    def output(self) -> str:
        return ESCAPE.sub("", self._raw.decode(errors="replace"))

    async def ready(self, timeout_s: float = 30.0) -> None:
        """Waits until the shell is attached. Raises :class:`ClientError` when it is closed before, or too late."""
        waiting = asyncio.create_task(self._ready.wait())
        await asyncio.wait({waiting, self._reader}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not self._ready.is_set():
            raise ClientError(
                f"the shell did not open ({self._state()})", "a ready terminal", "see the agent's log"
            )

    async def run(self, command: str, timeout_s: float = 20.0) -> str:
        """Types a command and returns what it printed. The end is found by a mark the shell prints last."""
        mark = uuid.uuid4().hex[:12]
        before = len(self.output)
        # Quotes inside the mark, so that the echo of the typed line is not taken for its result.
        await self._socket.send_bytes(f"{command}; echo {mark[:6]}''{mark[6:]}\n".encode())
        await self.wait_for(mark, timeout_s)
        return self.output[before:].split(mark, maxsplit=1)[0].rsplit("''" + mark[6:], maxsplit=1)[-1].strip()

    async def wait_for(self, text: str, timeout_s: float) -> None:
        """Raises :class:`ClientError` when ``text`` does not appear in time, or the shell ends before."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while text not in self.output:
            self._news.clear()
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or self._reader.done():
                raise ClientError(f"the shell printed {self.output[-200:]!r} ({self._state()})", repr(text))
            try:
                await asyncio.wait_for(self._news.wait(), left)
            except TimeoutError:
                continue

    async def closed(self, timeout_s: float = 15.0) -> Closed:
        """Waits for the server to close it. Raises :class:`ClientError` when it stays open."""
        try:
            await asyncio.wait_for(asyncio.shield(self._reader), timeout_s)
        except TimeoutError as error:
            raise ClientError(f"the shell is still open after {timeout_s:.0f} s", "a closed shell") from error
        return Closed(self._socket.close_code or 0, self._reason)

    async def close(self) -> None:
        await self._socket.close()
        await self._reader

    def _state(self) -> str:
        return (
            f"closed with {self._socket.close_code} {self._reason}" if self._socket.closed else "still open"
        )

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            if message.type is aiohttp.WSMsgType.BINARY:
                self._raw += message.data
            elif message.type is aiohttp.WSMsgType.TEXT:
                self._control(msgspec.json.decode(message.data, type=Control))
            else:
                self._reason = self._reason or str(message.extra or "")
                self._news.set()
                return
            self._news.set()

    def _control(self, control: Control) -> None:
        if control.type == "ready":
            self._ready.set()
        elif control.type == "closed":
            self._reason = control.reason


@asynccontextmanager
async def open_terminal(
    api: Api, machine_id: str, *, columns: int = 120, rows: int = 30
) -> AsyncGenerator[Terminal]:
    """A new shell, attached and ready. A refusal raises :class:`~remotegpu.client.errors.ApiError`."""
    ticket = await api.post(f"/machines/{machine_id}/terminal-ticket", Ticket)
    size = {"cols": columns, "rows": rows, "shell": str(uuid.uuid4()), "ticket": ticket.ticket}
    async with api.websocket(f"/machines/{machine_id}/terminal", size) as socket:
        terminal = Terminal(socket)
        try:
            await terminal.ready()
            yield terminal
        finally:
            await terminal.close()
