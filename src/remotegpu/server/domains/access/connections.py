"""One connection from a person to a machine, from opening the session to the last byte."""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from remotegpu.kit.ids import uuid7
from remotegpu.protocol import streams as wire
from remotegpu.server.core import context
from remotegpu.server.core.context import Caller
from remotegpu.server.core.database import transaction
from remotegpu.server.core.errors import RemoteGPUError
from remotegpu.server.core.services import Services
from remotegpu.server.domains.access import repository, service, streams, terminal
from remotegpu.server.domains.access.models import AccessSession
from remotegpu.server.domains.access.streams import Channel, Streams, Traffic
from remotegpu.server.domains.allocations import ending
from remotegpu.server.domains.allocations.models import Allocation
from remotegpu.server.domains.machines import samples

CHECK_SECONDS = 5.0
"""A session's right is looked up again this often, should the message that ends it be lost."""
FINISH_ATTEMPTS = 60
FINISH_RETRY_SECONDS = 2.0
"""For two minutes a database that is away may hold up the last word on a session; then the session is lost."""

log = structlog.get_logger()

Talk = Callable[[Channel, AccessSession, Allocation, Traffic], Awaitable[str]]
"""Serves the person over the agent's stream; returns why that ended."""


@dataclass(frozen=True, kw_only=True)
class Request:
    caller: Caller
    machine_id: uuid.UUID
    protocol: str
    address: str


@dataclass(frozen=True)
class End:
    """How a session ended: its final state, and what the person is told."""

    state: str
    code: int
    reason: str


STOPPED = End("lost", wire.CLOSE_GOING_AWAY, "the server was stopped; connect again")
NOT_DIALLED = End(
    "closed", wire.CLOSE_UNREACHABLE, "the machine did not answer in time; try again in a moment"
)


class Connection:
    """Serves one session. ``person`` is accepted already."""

    def __init__(self, services: Services, person: Channel, request: Request, talk: Talk) -> None:
        self._services = services
        self._person = person
        self._request = request
        self._talk = talk
        self._traffic = Traffic()
        self._session_id = uuid7()

    async def serve(self, registry: Streams) -> None:
        """Open a session, wait for the agent's stream, let ``talk`` run, record the end."""
        with registry.expecting(self._session_id, self._request.machine_id) as arriving:
            try:
                session, allocation = await self._open()
            except RemoteGPUError as error:
                unreachable = error.code == "machine_unreachable"
                code = wire.CLOSE_UNREACHABLE if unreachable else wire.CLOSE_REFUSED
                context.refuse(error)
                await self._farewell(End("refused", code, error.detail))
                return
            await self._hold(arriving, session, allocation)

    async def _open(self) -> tuple[AccessSession, Allocation]:
        async with transaction(self._services.sessions) as tx:
            return await service.open_session(
                tx,
                self._request.caller,
                self._request.machine_id,
                session_id=self._session_id,
                protocol=self._request.protocol,
                instance=self._services.settings.instance,
                address=self._request.address,
            )

    async def _hold(
        self, arriving: asyncio.Future[Channel], session: AccessSession, allocation: Allocation
    ) -> None:
        """However this ends, the person and the database hear of it."""
        end = STOPPED
        try:
            end = await self._outcome(arriving, session, allocation)
        except RemoteGPUError as error:
            end = End("closed", wire.CLOSE_UNREACHABLE, error.detail)
        except Exception as error:  # the session must not stay open in the database, whatever went wrong
            log.exception("session failed", session_id=str(session.id), error=str(error))
            end = End("closed", wire.CLOSE_GOING_AWAY, "an unexpected error on the server; connect again")
        finally:
            await self._farewell(end)
            await self._finish(end)

    async def _outcome(
        self, arriving: asyncio.Future[Channel], session: AccessSession, allocation: Allocation
    ) -> End:
        try:
            reason = await streams.first_of(
                self._live(arriving, session, allocation), self._until_told_to_end()
            )
        except TimeoutError:
            return NOT_DIALLED
        told = await self._told_to_end()  # the machine may have heard of it, and hung up, before we did
        if told is not None:
            return End("terminated", wire.CLOSE_ACCESS_ENDED, told)
        codes = {self._person.close_code, arriving.result().close_code if arriving.done() else None}
        if wire.CLOSE_RESTART in codes:
            return STOPPED
        if wire.CLOSE_ACCESS_ENDED in codes:
            return End("terminated", wire.CLOSE_ACCESS_ENDED, "the machine says that access has ended")
        return End("closed", terminal.CLOSE_CODES.get(reason, wire.CLOSE_NORMAL), reason)

    async def _live(
        self, arriving: asyncio.Future[Channel], session: AccessSession, allocation: Allocation
    ) -> str:
        dial_seconds = self._services.settings.agents.dial_seconds
        agent = await asyncio.wait_for(asyncio.shield(arriving), dial_seconds)
        try:
            async with transaction(self._services.sessions) as tx:
                if not await service.set_state(tx, session.id, "active"):
                    return "the session ended before it began"
            return await self._talk(agent, session, allocation, self._traffic)
        finally:
            await agent.close(wire.CLOSE_NORMAL, "the session has ended")

    async def _until_told_to_end(self) -> str:
        """Returns once this session was told to close: at once by message, within seconds by looking."""
        woken = asyncio.Event()
        hub, topic = self._services.hub, service.CLOSE_TOPIC
        with hub.listening(topic, str(self._session_id), lambda _message: woken.set()):
            while (reason := await self._told_to_end()) is None:
                with contextlib.suppress(TimeoutError):  # then it is time to look
                    await asyncio.wait_for(woken.wait(), CHECK_SECONDS)
                woken.clear()
            return reason

    async def _told_to_end(self) -> str | None:
        """Why this session was told to close. A database that is away ends nothing."""
        try:
            async with self._services.sessions() as tx:
                return (await repository.endings(tx, [self._session_id])).get(self._session_id)
        except SQLAlchemyError as error:
            log.warning("cannot look whether a session may go on", error=str(error)[:300])
            return None

    async def _farewell(self, end: End) -> None:
        await terminal.send_control(self._person, terminal.Control(type="closed", reason=end.reason))
        await self._person.close(end.code, end.reason)

    async def _finish(self, end: End) -> None:
        """Record the end, patiently: an open session would hold up the clean-up of the machine."""
        for _ in range(FINISH_ATTEMPTS):
            try:
                await self._record(end)
            except (SQLAlchemyError, RedisError, OSError) as error:
                log.warning("end of a session not recorded yet", error=str(error)[:300])
                await asyncio.sleep(FINISH_RETRY_SECONDS)
            else:
                return

    async def _record(self, end: End) -> None:
        async with transaction(self._services.sessions) as tx:
            await service.set_state(
                tx,
                self._session_id,
                end.state,
                reason=end.reason,
                bytes_in=self._traffic.bytes_in,
                bytes_out=self._traffic.bytes_out,
            )
        machine_id = self._request.machine_id
        sample = (await samples.latest(self._services.redis, [machine_id])).get(machine_id)
        async with transaction(self._services.sessions) as tx:
            await ending.advance(tx, machine_id, sample)
