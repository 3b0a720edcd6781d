"""One-use tickets for WebSockets: browsers cannot send an ``Authorization`` header there."""

import secrets
import uuid

import msgspec
from redis.asyncio import Redis

from remotegpu.kit.ids import secret_hash
from remotegpu.server.core.context import Caller
from remotegpu.server.core.errors import NotAuthenticatedError

SECONDS = 30


class Grant(msgspec.Struct):
    user_id: uuid.UUID
    credential: str
    path: str


async def issue(redis: Redis, caller: Caller, path: str) -> str:
    """A ticket for ``caller`` that opens ``path`` (of the URL) only."""
    ticket = secrets.token_urlsafe(24)
    grant = Grant(caller.user_id, caller.credential, path)
    await redis.set(f"ticket:{secret_hash(ticket)}", msgspec.json.encode(grant), ex=SECONDS)
    return ticket


async def redeem(redis: Redis, ticket: str, path: str) -> Grant:
    """To whom the ticket was issued, and with what they were let in. It works once.

    Raises :class:`NotAuthenticatedError`.
    """
    body = await redis.getdel(f"ticket:{secret_hash(ticket)}")
    grant = msgspec.json.decode(body, type=Grant) if body else None
    if grant is None or grant.path != path:
        raise NotAuthenticatedError(
            "the ticket is unknown, used or older than 30 seconds; ask for a new one", code="ticket_refused"
        )
    return grant
