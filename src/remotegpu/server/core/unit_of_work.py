"""Litestar dependency ``tx``: the transaction of a request, committed once, before the reply is sent."""

from collections.abc import AsyncGenerator

from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.server.core.database import transaction
from remotegpu.server.core.services import Services


async def provide_tx(services: Services) -> AsyncGenerator[AsyncSession, None]:
    """Commit after the handler returned, roll back when it raised, run the after-commit actions last."""
    async with transaction(services.sessions) as session:
        yield session
