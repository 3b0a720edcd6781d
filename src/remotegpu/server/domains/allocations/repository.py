"""Reading allocations, filtered by who asks."""

import uuid
from collections import defaultdict
from typing import Any

from sqlalchemy import bindparam, column, func, select, table
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.server.core.context import Caller
from remotegpu.server.core.errors import NotFoundError
from remotegpu.server.core.paging import Rows
from remotegpu.server.domains.allocations.models import Allocation, ReclaimStep
from remotegpu.server.domains.customers.models import Customer
from remotegpu.server.domains.machines import repository as machine_rows
from remotegpu.server.domains.machines.models import Machine

HOLDING_STATES = ("active", "expiring", "reclaiming")
USABLE_STATES = ("active", "expiring")
FUTURE_STATES = ("scheduled", *USABLE_STATES)

attempts = table("attempts", column("machine_id"), column("state"))
sessions = table("access_sessions", column("machine_id"), column("state"))
"""Only these columns, so that allocations does not depend on the tasks and access domains above it."""


def allocations(caller: Caller | None) -> Rows:
    """Rows of (Allocation, machine name, customer name) that ``caller`` may see."""
    query = (
        select(Allocation, Machine.name, Customer.name)
        .join(Machine, Machine.id == Allocation.machine_id)
        .join(Customer, Customer.id == Allocation.customer_id)
    )
    if caller is not None and not caller.is_admin:
        query = query.where(Allocation.customer_id == caller.customer_id)
    return query


async def find(tx: AsyncSession, caller: Caller | None, allocation_id: uuid.UUID) -> Any:
    """One row. Raises :class:`NotFoundError`, also for somebody else's."""
    row = (await tx.execute(allocations(caller).where(Allocation.id == allocation_id))).first()
    if row is None:
        raise NotFoundError(f"there is no allocation {allocation_id}")
    return row


async def steps_of(tx: AsyncSession, allocation_ids: list[uuid.UUID]) -> dict[uuid.UUID, list[ReclaimStep]]:
    """Steps in order, by allocation."""
    rows = await tx.scalars(
        select(ReclaimStep)
        .where(ReclaimStep.allocation_id.in_(allocation_ids))
        .order_by(ReclaimStep.allocation_id, ReclaimStep.position)
    )
    grouped: dict[uuid.UUID, list[ReclaimStep]] = defaultdict(list)
    for row in rows:
        grouped[row.allocation_id].append(row)
    return grouped


_USABLE = select(Allocation).where(
    Allocation.machine_id == bindparam("machine_id"), Allocation.state.in_(USABLE_STATES)
)
"""Built once, like the other statements between a submission and its start."""


async def usable(tx: AsyncSession, caller: Caller, machine_id: uuid.UUID) -> Allocation:
    """The allocation through which ``caller`` may use a machine now.

    Raises :class:`NotFoundError` when the machine is not leased to the caller's company (an admin: to anybody).
    """
    row = await tx.scalar(_USABLE, {"machine_id": machine_id})
    if row is None or not (caller.is_admin or row.customer_id == caller.customer_id):
        raise NotFoundError(
            f"there is no machine {machine_id} leased to you now", code="no_active_allocation"
        )
    return row


async def holder(tx: AsyncSession, machine_id: uuid.UUID) -> Allocation | None:
    """The allocation that holds a machine, also while it is reclaimed."""
    return await tx.scalar(
        select(Allocation).where(Allocation.machine_id == machine_id, Allocation.state.in_(HOLDING_STATES))
    )


async def open_work(tx: AsyncSession, machine_id: uuid.UUID) -> tuple[int, int]:
    """How many attempts and sessions of a machine are still open."""
    open_attempts = select(func.count()).where(
        attempts.c.machine_id == machine_id, attempts.c.state.in_(("assigned", "running"))
    )
    open_sessions = select(func.count()).where(
        sessions.c.machine_id == machine_id, sessions.c.state.in_(("connecting", "active"))
    )
    return await tx.scalar(open_attempts) or 0, await tx.scalar(open_sessions) or 0


async def locked(tx: AsyncSession, allocation_id: uuid.UUID) -> tuple[Allocation, Machine]:
    """The allocation and its machine. The machine is locked first, as everywhere, so that nothing deadlocks."""
    machine_id = await tx.scalar(select(Allocation.machine_id).where(Allocation.id == allocation_id))
    if machine_id is None:
        raise NotFoundError(f"there is no allocation {allocation_id}")
    machine = await machine_rows.lock(tx, machine_id)
    allocation = await tx.get(Allocation, allocation_id, populate_existing=True)
    assert allocation is not None
    return allocation, machine
