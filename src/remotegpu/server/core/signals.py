"""Facts that a lower domain announces and a higher one acts on, inside the same transaction.

``app`` connects them; domains below never import domains above.
"""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

Fact = TypeVar("Fact")


@dataclass(frozen=True)
class Ended:
    """Credentials that begin with ``prefix`` let nobody in any more: of ``user_id``, or of whoever has such a one."""

    user_id: uuid.UUID | None
    prefix: str
    reason: str


class Signal(Generic[Fact]):
    """Listeners run in the sender's transaction and may veto by raising."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[AsyncSession, Fact], Awaitable[None]]] = []

    def connect(self, listener: Callable[[AsyncSession, Fact], Awaitable[None]]) -> None:
        if listener not in self._listeners:
            self._listeners.append(listener)

    async def send(self, tx: AsyncSession, fact: Fact) -> None:
        for listener in self._listeners:
            await listener(tx, fact)


customer_access_changed: Signal[uuid.UUID] = Signal()
"""Keys or members of a customer changed: the machines they lease must hear of it."""

credentials_ended: Signal[Ended] = Signal()
"""Somebody signed out, changed or lost a password, revoked a token: what was opened with it must close."""
