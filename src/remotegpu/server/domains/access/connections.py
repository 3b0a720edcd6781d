"""One connection from a person to a machine, from opening the session to the last byte."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from remotegpu.kit.clock import utc_now
from remotegpu.protocol import streams as wire
from remotegpu.server.core.context import Caller
from remotegpu.server.core.database import transaction
from remotegpu.server.core.errors import RemoteGPUError
from remotegpu.server.core.hub import Message
from remotegpu.server.core.services import Services
from remotegpu.server.domains.access import repository, service, streams, terminal
from remotegpu.server.domains.access.models import AccessSession
from remotegpu.server.domains.access.streams import AgentStream, Socket, Streams, Traffic
from remotegpu.server.domains.allocations import service as allocations
from remotegpu.server.domains.allocations.models import Allocation
from remotegpu.server.domains.machines import samples

CHECK_SECONDS = 5.0
"""A session's right is looked up again this often, should the message that ends it be lost."""
ALIVE_SECONDS = 20
ENDED = "\x00"
"""Marks a reason that came from the platform and must not be followed by a reconnect."""

log = structlog.get_logger()

Talk = Callable[[AgentStream, AccessSession, Allocation, Traffic], Awaitable[str]]


@dataclass(frozen=True, kw_only=True)
class Request:
    caller: Caller
    machine_id: uuid.UUID
    protocol: str
    address: str


async def serve(services: Services, registry: Streams, person: Socket, request: Request, talk: Talk) -> None:
    """Open a session, wait for the agent's stream, let ``talk`` run, record the end. ``person`` is accepted already."""
    try:
        async with transaction(services.sessions) as tx:
            # The stream must be expected before the commit lets the agent know of it.
            session, allocation = await service.open_session(
                tx,
                request.caller,
                request.machine_id,
                protocol=request.protocol,
                instance=services.settings.instance,
                address=request.address,
            )
            expecting = registry.expecting(session.id)
            arriving = await expecting.__aenter__()
    except RemoteGPUError as error:
        unreachable = error.code == "machine_unreachable"
        await _farewell(person, wire.CLOSE_UNREACHABLE if unreachable else wire.CLOSE_REFUSED, error.detail)
        return
    traffic = Traffic()
    try:
        state, code, reason = await _hold(services, arriving, session, allocation, traffic, talk)
    except asyncio.CancelledError:
        await _finish(services, session, "lost", "the server was stopped", traffic)
        raise
    finally:
        await expecting.__aexit__(None, None, None)
    await _farewell(person, code, reason)
    await _finish(services, session, state, reason, traffic)


async def _hold(  # noqa: PLR0917 - the parts of one connection
    services: Services,
    arriving: "asyncio.Future[AgentStream]",
    session: AccessSession,
    allocation: Allocation,
    traffic: Traffic,
    talk: Talk,
) -> tuple[str, int, str]:
    """Final state, close code and reason of a session."""

    async def live() -> str:
        agent = await asyncio.wait_for(asyncio.shield(arriving), streams.DIAL_SECONDS)
        async with transaction(services.sessions) as tx:
            if not await service.set_state(tx, session.id, "active"):
                return "the session ended before it began"
        try:
            return await talk(agent, session, allocation, traffic)
        finally:
            await streams.close(agent.socket, wire.CLOSE_NORMAL, "the session has ended")

    try:
        reason = await streams.first_of(live(), _told_to_end(services, session.id))
    except TimeoutError:
        return "closed", wire.CLOSE_UNREACHABLE, "the machine did not answer in time; try again in a moment"
    if reason.startswith(ENDED):
        return "terminated", wire.CLOSE_ACCESS_ENDED, reason.removeprefix(ENDED)
    return "closed", wire.CLOSE_NORMAL, reason


async def _told_to_end(services: Services, session_id: uuid.UUID) -> str:
    """Returns once this session was told to close: at once by message, within seconds by looking."""
    woken = asyncio.Event()

    def wake(_message: Message) -> None:
        woken.set()

    with services.hub.listening(service.CLOSE_TOPIC, str(session_id), wake):
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), CHECK_SECONDS)
            woken.clear()
            async with services.sessions() as tx:
                reason = (await repository.endings(tx, [session_id])).get(session_id)
            if reason is not None:
                return ENDED + reason


async def _farewell(person: Socket, code: int, reason: str) -> None:
    await terminal.send_control(person, terminal.Control(type="closed", reason=reason))
    await streams.close(person, code, reason)


async def _finish(
    services: Services, session: AccessSession, state: str, reason: str, traffic: Traffic
) -> None:
    async with transaction(services.sessions) as tx:
        await service.set_state(
            tx, session.id, state, reason=reason, bytes_in=traffic.bytes_in, bytes_out=traffic.bytes_out
        )
    sample = (await samples.latest(services.redis, [session.machine_id])).get(session.machine_id)
    async with transaction(services.sessions) as tx:
        await allocations.advance(tx, session.machine_id, sample)


@asynccontextmanager
async def announcing_instance(services: Services) -> AsyncGenerator[None]:
    """Let the worker know that this process lives: sessions of processes that do not are lost."""

    started = utc_now()

    async def beat() -> None:
        async with transaction(services.sessions) as tx:
            await service.lose_sessions_of_earlier_process(tx, services.settings.instance, started)
        while True:
            await services.redis.set(f"instance:{services.settings.instance}", "1", ex=ALIVE_SECONDS)
            await asyncio.sleep(ALIVE_SECONDS / 4)

    async def keep() -> None:
        while True:
            try:
                await beat()
            except Exception as error:  # noqa: BLE001 - whatever Redis raises: say it, go on trying
                log.warning("cannot announce this server process", error=str(error))
                await asyncio.sleep(1)

    task = asyncio.create_task(keep(), name="announce-instance")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def instances_alive(services: Services) -> set[str]:
    """Names of server processes heard of within seconds."""
    names: set[str] = set()
    async for key in services.redis.scan_iter(match="instance:*", count=100):
        names.add(key.decode().removeprefix("instance:"))
    return names
