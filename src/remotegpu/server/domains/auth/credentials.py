"""What somebody is let in with, named so that it can be looked at again: ``session:FAMILY`` or ``token:ID``.

Connections that stay open (event streams, logs, terminals) remember the name and end with what it names.
"""

import uuid

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.server.core.services import Services
from remotegpu.server.domains.auth import refresh
from remotegpu.server.domains.auth.models import AccessToken

SESSION, TOKEN = "session:", "token:"


def of_session(family: str) -> str:
    """A sign-in."""
    return f"{SESSION}{family}"


def of_token(token_id: uuid.UUID) -> str:
    """A personal access token."""
    return f"{TOKEN}{token_id}"


async def is_valid(services: Services, tx: AsyncSession, credential: str) -> bool:
    """Whether what it names still lets anybody in. Raises :class:`RedisError` when that cannot be told."""
    if credential.startswith(SESSION):
        return await refresh.is_alive(services.redis, credential.removeprefix(SESSION))
    query = select(AccessToken.id).where(
        AccessToken.id == uuid.UUID(credential.removeprefix(TOKEN)), AccessToken.expires_at > utc_now()
    )
    return await tx.scalar(query) is not None
