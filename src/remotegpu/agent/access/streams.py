"""Dialling the streams the desired state lists, each once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import aiohttp
import structlog

from remotegpu.agent.access.transport import AgentStream
from remotegpu.protocol.streams import CLOSE_GOING_AWAY
from remotegpu.protocol.sync import StreamSpec

_LOG = structlog.get_logger(__name__)

Dial = Callable[[str], Awaitable[aiohttp.ClientWebSocketResponse]]
"""Opens the WebSocket at a path of the server, authenticated as this agent."""
Serve = Callable[[AgentStream], Awaitable[None]]
"""Runs the stream to its end."""

DIAL_DELAYS_S = (0.0, 0.2, 1.0, 3.0)
"""Pauses before each attempt: whoever waits for the stream gives up after some seconds anyway."""


class Streams:
    """Keeps to the list: dials what is new, never what it dialled before.

    A stream that leaves the list is not closed: the server takes it off as soon as it is connected.
    """

    def __init__(self, dial: Dial, serve: Serve) -> None:
        self._dial = dial
        self._serve = serve
        self._dialled: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[AgentStream] = set()

    def apply(self, wanted: Iterable[StreamSpec]) -> None:
        """Start what is new; forget the ids that are no longer listed."""
        specs = {spec.stream_id: spec for spec in wanted}
        new = [spec for stream_id, spec in specs.items() if stream_id not in self._dialled]
        self._dialled = set(specs)
        for spec in new:
            if spec.target != "ssh":
                _LOG.warning(
                    "stream_target_unknown", stream_id=spec.stream_id, found=spec.target, expected="ssh"
                )
                continue
            task = asyncio.get_running_loop().create_task(self._run(spec), name=f"stream {spec.stream_id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Close every stream so that the other side reconnects to the next agent."""
        for transport in list(self._open):
            transport.end(CLOSE_GOING_AWAY, "the agent is stopping")
        tasks = list(self._tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=5.0)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, spec: StreamSpec) -> None:
        socket = await self._dial_patiently(spec)
        if socket is None:
            return
        transport = AgentStream(socket)
        self._open.add(transport)
        _LOG.info("stream_open", stream_id=spec.stream_id)
        try:
            await self._serve(transport)
        except Exception:  # noqa: BLE001 — one broken stream must not end the agent; it is logged whole
            _LOG.exception("stream_failed", stream_id=spec.stream_id)
        finally:
            self._open.discard(transport)
            _LOG.info("stream_closed", stream_id=spec.stream_id)

    async def _dial_patiently(self, spec: StreamSpec) -> aiohttp.ClientWebSocketResponse | None:
        """None when the server no longer wants it, or cannot be reached in time."""
        for delay in DIAL_DELAYS_S:
            await asyncio.sleep(delay)
            try:
                return await self._dial(spec.path)
            except aiohttp.WSServerHandshakeError as error:
                if 400 <= error.status < 500:
                    _LOG.info("stream_refused", stream_id=spec.stream_id, status=error.status)
                    return None
                _LOG.info("stream_dial_failed", stream_id=spec.stream_id, reason=f"HTTP {error.status}")
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                _LOG.info("stream_dial_failed", stream_id=spec.stream_id, reason=repr(error))
        _LOG.warning("stream_given_up", stream_id=spec.stream_id, attempts=len(DIAL_DELAYS_S))
        return None
