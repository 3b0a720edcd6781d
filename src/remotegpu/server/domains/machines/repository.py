"""Reading machines, with who holds them, filtered by who asks."""

import uuid
from typing import Any

from sqlalchemy import and_, column, or_, select, table
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.server.core.context import Caller
from remotegpu.server.core.errors import NotFoundError
from remotegpu.server.core.paging import Rows, like
from remotegpu.server.domains.customers.models import Customer
from remotegpu.server.domains.machines.models import Machine

allocations = table(
    "allocations",
    column("id"),
    column("machine_id"),
    column("customer_id"),
    column("ends_at"),
    column("state"),
)
"""Only these columns, so that machines does not depend on the allocations domain above it."""
HOLDING_STATES = ("active", "expiring", "reclaiming")
USABLE_STATES = ("active", "expiring")


def machines(caller: Caller | None) -> Rows:
    """Rows of (Machine, allocation id, customer id, ends_at, state, customer name) that ``caller`` may see."""
    query = (
        select(
            Machine,
            allocations.c.id,
            allocations.c.customer_id,
            allocations.c.ends_at,
            allocations.c.state,
            Customer.name,
        )
        .outerjoin(
            allocations, and_(allocations.c.machine_id == Machine.id, allocations.c.state.in_(HOLDING_STATES))
        )
        .outerjoin(Customer, Customer.id == allocations.c.customer_id)
    )
    if caller is not None and not caller.is_admin:
        query = query.where(
            allocations.c.customer_id == caller.customer_id, allocations.c.state.in_(USABLE_STATES)
        )
    return query


def matching(query: Rows, search: str | None, filters: dict[str, Any]) -> Rows:
    """Narrow by text and by exact values of Machine columns (or ``customer_id``)."""
    filters = dict(filters)
    customer_id = filters.pop("customer_id", None)
    if customer_id is not None:
        query = query.where(allocations.c.customer_id == customer_id)
    for name, value in filters.items():
        if value is not None:
            query = query.where(getattr(Machine, name) == value)
    if search:
        pattern = like(search)
        query = query.where(
            or_(Machine.name.ilike(pattern), Machine.gpu_model.ilike(pattern), Machine.os.ilike(pattern))
        )
    return query


async def find(tx: AsyncSession, caller: Caller | None, machine_id: uuid.UUID) -> Any:
    """The row of one machine. Raises :class:`NotFoundError`, also for a machine of somebody else."""
    row = (await tx.execute(machines(caller).where(Machine.id == machine_id))).first()
    if row is None:
        raise NotFoundError(f"there is no machine {machine_id}")
    return row


async def holder_of(tx: AsyncSession, machine_id: uuid.UUID) -> uuid.UUID | None:
    """The customer who holds a machine now."""
    query = select(allocations.c.customer_id).where(
        allocations.c.machine_id == machine_id, allocations.c.state.in_(USABLE_STATES)
    )
    return await tx.scalar(query)


async def lock(tx: AsyncSession, machine_id: uuid.UUID) -> Machine:
    """The machine, its row locked to the end of the transaction: taken first by whoever changes what it should be."""
    row = await tx.get(Machine, machine_id, with_for_update=True, populate_existing=True)
    if row is None:
        raise NotFoundError(f"there is no machine {machine_id}")
    return row
