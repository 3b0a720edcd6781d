"""``/overview`` and the event stream ``/events``."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from litestar import Router, get
from litestar.response import ServerSentEvent, ServerSentEventMessage
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.server.core.context import Caller
from remotegpu.server.core.guards import ANYONE
from remotegpu.server.core.hub import Message
from remotegpu.server.core.services import Services
from remotegpu.server.domains.auth import callers
from remotegpu.server.domains.monitoring import service
from remotegpu.server.domains.monitoring.schemas import Change, Overview

TOPICS = {"machines", "allocations", "tasks", "sessions", "customers", "samples"}
KEEP_ALIVE_SECONDS = 15.0


@get("/overview", guards=[ANYONE])
async def overview(tx: AsyncSession, services: Services, caller: Caller) -> Overview:
    """Counts for the first page."""
    return await service.overview(tx, services.redis, caller)


@get("/events", guards=[ANYONE])
async def events(services: Services, caller: Caller) -> ServerSentEvent:
    """Changes the caller may see, as ``change`` events; a comment every 15 seconds keeps the connection open.

    It ends when the caller may no longer see anything, and when a slow reader missed changes: connect again.
    """
    return ServerSentEvent(_changes(services, caller))


async def _changes(services: Services, caller: Caller) -> AsyncIterator[ServerSentEventMessage]:
    with services.hub.messages() as messages:  # first: nothing is missed between "connected" and listening
        yield ServerSentEventMessage(comment="connected", data=None)
        while True:
            try:
                message = await asyncio.wait_for(messages.get(), KEEP_ALIVE_SECONDS)
            except TimeoutError:
                if not await callers.is_let_in(services, caller):
                    return
                yield ServerSentEventMessage(comment="still here", data=None)
                continue
            if message is None or not await _may_go_on(services, caller, message):
                return
            if is_visible(message, caller):
                body = msgspec.json.encode(Change(topic=message.topic, id=message.key)).decode()
                yield ServerSentEventMessage(event="change", data=body)


async def _may_go_on(services: Services, caller: Caller, message: Message) -> bool:
    """Looks again whether the caller is still let in, when something about them or their company changed."""
    concerned = {"customers": {str(caller.customer_id)}, "people": {str(caller.user_id), ""}}
    if message.key not in concerned.get(message.topic, ()):
        return True
    return await callers.is_let_in(services, caller)


def is_visible(message: Message, caller: Caller) -> bool:
    """Admins see every public topic, customers what carries their id."""
    if message.topic not in TOPICS:
        return False
    if caller.is_admin:
        return True
    return message.customer_ids is not None and str(caller.customer_id) in message.customer_ids


router = Router(path="/", route_handlers=[overview, events], tags=["monitoring"])
