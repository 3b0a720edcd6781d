"""Byte streams: the server's side of what agents dial. One registry per process; bytes are spliced, never stored."""

import asyncio
import uuid
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from litestar.connection import WebSocket
from litestar.exceptions import WebSocketDisconnect

REASON_BYTES = 120
"""RFC 6455 §5.5: a close frame carries at most 123 bytes of reason."""
GONE = (WebSocketDisconnect, RuntimeError, OSError)
"""What a send to, or a close of, a socket raises whose other side has left."""

Socket = WebSocket[object, object, object]  # pyright: ignore[reportInvalidTypeArguments]


@dataclass
class Channel:
    """A WebSocket of a person or of an agent. ``close_code``: with what the other side closed it, once it has."""

    socket: Socket
    close_code: int | None = None

    async def receive(self) -> bytes | None:
        """The next binary frame; None once the other side has closed."""
        message = await self.receive_any()
        return None if message is None else message[0]

    async def receive_any(self) -> tuple[bytes, str] | None:
        """The next frame: its bytes, or its text. None once the other side has closed."""
        try:
            message = await self.socket.receive()
        except GONE:
            return None
        if message["type"] == "websocket.disconnect":
            self.close_code = message["code"]
            return None
        return message.get("bytes") or b"", message.get("text") or ""

    async def send(self, body: bytes) -> bool:
        """Send a binary frame, waiting until the other side takes it. False once it has closed."""
        try:
            await self.socket.send_bytes(body)
        except GONE:
            return False
        return True

    async def send_text(self, text: str) -> bool:
        """The same for a text frame."""
        try:
            await self.socket.send_text(text)
        except GONE:
            return False
        return True

    async def close(self, code: int, reason: str) -> None:
        """Close with a reason, cut to what a close frame can carry. Closing a closed socket is no error."""
        shortened = reason.encode()[:REASON_BYTES].decode(errors="ignore")
        try:
            await self.socket.close(code=code, reason=shortened)
        except GONE:
            return


@dataclass
class _Expected:
    machine_id: uuid.UUID
    arriving: asyncio.Future[Channel]
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Streams:
    """Who waits for which stream."""

    def __init__(self) -> None:
        self._waiting: dict[uuid.UUID, _Expected] = {}

    @contextmanager
    def expecting(self, session_id: uuid.UUID, machine_id: uuid.UUID) -> Generator[asyncio.Future[Channel]]:
        """A future of the stream that machine's agent will dial. Open this before the agent can know of the session."""
        expected = _Expected(machine_id, asyncio.get_running_loop().create_future())
        self._waiting[session_id] = expected
        try:
            yield expected.arriving
        finally:
            del self._waiting[session_id]
            expected.done.set()
            expected.arriving.cancel()

    async def serve(self, session_id: uuid.UUID, machine_id: uuid.UUID, socket: Socket) -> bool:
        """Hand over an agent's socket and hold it open until its session has ended. False: nobody waits for it."""
        expected = self._waiting.get(session_id)
        if expected is None or expected.machine_id != machine_id or expected.arriving.done():
            return False
        expected.arriving.set_result(Channel(socket))
        await expected.done.wait()
        return True


@dataclass
class Traffic:
    """Bytes from the person to the machine, and back."""

    bytes_in: int = 0
    bytes_out: int = 0


async def splice(person: Channel, agent: Channel, traffic: Traffic) -> str:
    """Copy both ways until one side closes. Returns which side it was."""

    async def inwards() -> str:
        while (body := await person.receive()) is not None:
            traffic.bytes_in += len(body)
            if not await agent.send(body):
                return "the machine closed the connection"
        return "closed by the user"

    async def outwards() -> str:
        while (body := await agent.receive()) is not None:
            traffic.bytes_out += len(body)
            if not await person.send(body):
                return "closed by the user"
        return "the machine closed the connection"

    return await first_of(inwards(), outwards())


async def first_of(*coroutines: Coroutine[None, None, str]) -> str:
    """Run all, return the result of the first to finish, cancel the others."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(iter(done)).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
