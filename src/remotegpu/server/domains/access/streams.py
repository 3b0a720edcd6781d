"""Byte streams: the server's side of what agents dial. One registry per process; bytes are spliced, never stored."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from litestar.connection import WebSocket
from litestar.exceptions import WebSocketDisconnect

from remotegpu.protocol import streams as wire

DIAL_SECONDS = 12.0
"""How long the agent may take: it is woken at once, and polls at least every 25 s only when the wake-up was lost."""
REASON_BYTES = 120
"""RFC 6455 §5.5: a close frame carries at most 123 bytes of reason."""

Socket = WebSocket[object, object, object]  # pyright: ignore[reportInvalidTypeArguments]


@dataclass
class AgentStream:
    """The WebSocket an agent dialled, and the signal that we are done with it."""

    socket: Socket
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Streams:
    """Who waits for which stream."""

    def __init__(self) -> None:
        self._waiting: dict[uuid.UUID, asyncio.Future[AgentStream]] = {}

    @asynccontextmanager
    async def expecting(self, session_id: uuid.UUID) -> AsyncGenerator[asyncio.Future[AgentStream]]:
        """A future of the stream the agent will dial. Open this before the agent can know of the session."""
        future: asyncio.Future[AgentStream] = asyncio.get_running_loop().create_future()
        self._waiting[session_id] = future
        try:
            yield future
        finally:
            self._waiting.pop(session_id, None)
            if future.done() and not future.cancelled():
                future.result().done.set()
            future.cancel()

    async def serve(self, session_id: uuid.UUID, socket: Socket) -> bool:
        """Hand over an agent's socket and hold it open until its session has ended. False: nobody waits for it."""
        future = self._waiting.get(session_id)
        if future is None or future.done():
            return False
        stream = AgentStream(socket)
        future.set_result(stream)
        await stream.done.wait()
        return True


@dataclass
class Traffic:
    """Bytes from the person to the machine, and back."""

    bytes_in: int = 0
    bytes_out: int = 0


async def receive(socket: Socket) -> bytes | None:
    """The next binary frame; None once the other side has closed."""
    try:
        return await socket.receive_bytes()
    except (WebSocketDisconnect, RuntimeError):
        return None


async def send(socket: Socket, body: bytes) -> bool:
    """Send a binary frame, waiting until the other side takes it. False once it has closed."""
    try:
        await socket.send_bytes(body)
    except (WebSocketDisconnect, RuntimeError, OSError):
        return False
    return True


async def close(socket: Socket, code: int, reason: str) -> None:
    """Close with a reason, cut to what a close frame can carry. Closing a closed socket is no error."""
    shortened = reason.encode()[:REASON_BYTES].decode(errors="ignore")
    try:
        await socket.close(code=code, reason=shortened)
    except (WebSocketDisconnect, RuntimeError, OSError):
        return


async def splice(person: Socket, agent: Socket, traffic: Traffic) -> str:
    """Copy both ways until one side closes. Returns which side it was."""

    async def inwards() -> str:
        while (body := await receive(person)) is not None:
            traffic.bytes_in += len(body)
            if not await send(agent, body):
                return "the machine closed the connection"
        return "closed by the user"

    async def outwards() -> str:
        while (body := await receive(agent)) is not None:
            traffic.bytes_out += len(body)
            if not await send(person, body):
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


__all__ = [
    "DIAL_SECONDS",
    "AgentStream",
    "Socket",
    "Streams",
    "Traffic",
    "close",
    "first_of",
    "receive",
    "send",
    "splice",
    "wire",
]
