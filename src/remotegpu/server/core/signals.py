"""Facts that a lower domain announces and a higher one acts on, inside the same transaction.

``app`` connects them; domains below never import domains above.
"""

import uuid
from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

CustomerListener = Callable[[AsyncSession, uuid.UUID], Awaitable[None]]


class CustomerSignal:
    """Something about a customer changed. Listeners run in the sender's transaction and may veto by raising."""

    def __init__(self) -> None:
        self._listeners: list[CustomerListener] = []

    def connect(self, listener: CustomerListener) -> None:
        if listener not in self._listeners:
            self._listeners.append(listener)

    async def send(self, tx: AsyncSession, customer_id: uuid.UUID) -> None:
        for listener in self._listeners:
            await listener(tx, customer_id)


customer_access_changed = CustomerSignal()
"""Keys or members of a customer changed: the machines they lease must hear of it."""
