"""One-use tickets for WebSockets: browsers cannot send an ``Authorization`` header there."""

import secrets
import uuid

import msgspec
from redis.asyncio import Redis

from remotegpu.kit.ids import secret_hash
from remotegpu.server.core.errors import NotAuthenticatedError

SECONDS = 30


class _Grant(msgspec.Struct):
    user_id: uuid.UUID
    path: str


async def issue(redis: Redis, user_id: uuid.UUID, path: str) -> str:
    """A ticket for ``user_id`` that opens ``path`` (of the URL) only."""
    ticket = secrets.token_urlsafe(24)
    await redis.set(f"ticket:{secret_hash(ticket)}", msgspec.json.encode(_Grant(user_id, path)), ex=SECONDS)
    return ticket


async def redeem(redis: Redis, ticket: str, path: str) -> uuid.UUID:
    """The user the ticket was issued to. Raises :class:`NotAuthenticatedError`; a ticket works once."""
    body = await redis.getdel(f"ticket:{secret_hash(ticket)}")
    grant = msgspec.json.decode(body, type=_Grant) if body else None
    if grant is None or grant.path != path:
        raise NotAuthenticatedError(
            "the ticket is unknown, used or older than 30 seconds; ask for a new one", code="ticket_refused"
        )
    return grant.user_id
