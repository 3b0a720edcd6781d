"""``/allocations``."""

import uuid
from typing import Annotated

from litestar import Router, get, post
from litestar.params import QueryParameter
from sqlalchemy import or_
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.server.core import idempotency
from remotegpu.server.core.context import Caller
from remotegpu.server.core.guards import ADMIN, ANYONE
from remotegpu.server.core.paging import Page, Paging, fetch_page, like, order_by
from remotegpu.server.domains.allocations import ending, repository, service
from remotegpu.server.domains.allocations.models import Allocation
from remotegpu.server.domains.allocations.schemas import (
    AllocationCreate,
    AllocationEnd,
    AllocationExtend,
    AllocationState,
    AllocationView,
)
from remotegpu.server.domains.customers.models import Customer
from remotegpu.server.domains.machines.models import Machine

SORTABLE = {name: getattr(Allocation, name) for name in ("id", "starts_at", "ends_at", "state", "created_at")}


@get("/allocations", guards=[ANYONE])
async def list_allocations(
    tx: AsyncSession,
    caller: Caller,
    paging: Paging,
    allocation_state: Annotated[AllocationState | None, QueryParameter(name="state")] = None,
    customer_id: uuid.UUID | None = None,
    machine_id: uuid.UUID | None = None,
) -> Page[AllocationView]:
    """Allocations: all for admins, the own company's for customers. Newest first."""
    query = repository.allocations(caller)
    exact = {
        Allocation.state: allocation_state,
        Allocation.customer_id: customer_id,
        Allocation.machine_id: machine_id,
    }
    for column, value in exact.items():
        if value is not None:
            query = query.where(column == value)
    if paging.search:
        pattern = like(paging.search)
        query = query.where(
            or_(Machine.name.ilike(pattern), Customer.name.ilike(pattern), Allocation.note.ilike(pattern))
        )
    rows, total = await fetch_page(tx, query.order_by(*order_by(paging, SORTABLE, "-id")), paging)
    steps = await repository.steps_of(tx, [row[0].id for row in rows])
    items = [service.view(row, steps.get(row[0].id, [])) for row in rows]
    return Page(items=items, total=total, page=paging.page, page_size=paging.page_size)


@get("/allocations/{allocation_id:uuid}", guards=[ANYONE])
async def get_allocation(tx: AsyncSession, caller: Caller, allocation_id: uuid.UUID) -> AllocationView:
    """One allocation with the steps of its end."""
    return await _view(tx, caller, allocation_id)


@post("/allocations", guards=[ADMIN])
async def create_allocation(
    tx: AsyncSession, caller: Caller, data: AllocationCreate, key: idempotency.Key = None
) -> AllocationView:
    """Lease a machine to a customer. A machine that is taken answers 409 with the reason."""
    known = await idempotency.earlier_result(tx, caller, key, data)
    if known is None:
        known = (await service.create(tx, caller, data)).id
        idempotency.remember(tx, caller, key, data, known)
    return await _view(tx, caller, known)


@post("/allocations/{allocation_id:uuid}/extend", guards=[ADMIN], status_code=200)
async def extend_allocation(
    tx: AsyncSession, caller: Caller, allocation_id: uuid.UUID, data: AllocationExtend
) -> AllocationView:
    """Move the end."""
    await service.extend(tx, allocation_id, data.ends_at)
    return await _view(tx, caller, allocation_id)


@post("/allocations/{allocation_id:uuid}/end", guards=[ADMIN], status_code=200)
async def end_allocation(
    tx: AsyncSession, caller: Caller, allocation_id: uuid.UUID, data: AllocationEnd
) -> AllocationView:
    """End a lease now: access is cut at once, the clean-up follows in visible steps."""
    await ending.end(tx, allocation_id, data.reason or "ended by an administrator")
    return await _view(tx, caller, allocation_id)


@post("/allocations/{allocation_id:uuid}/cancel", guards=[ADMIN], status_code=200)
async def cancel_allocation(tx: AsyncSession, caller: Caller, allocation_id: uuid.UUID) -> AllocationView:
    """Cancel a lease that has not begun."""
    await service.cancel(tx, allocation_id)
    return await _view(tx, caller, allocation_id)


async def _view(tx: AsyncSession, caller: Caller, allocation_id: uuid.UUID) -> AllocationView:
    await tx.flush()
    row = await repository.find(tx, caller, allocation_id)
    steps = await repository.steps_of(tx, [allocation_id])
    return service.view(row, steps.get(allocation_id, []))


router = Router(
    path="/",
    route_handlers=[
        list_allocations,
        get_allocation,
        create_allocation,
        extend_allocation,
        end_allocation,
        cancel_allocation,
    ],
    tags=["allocations"],
)
