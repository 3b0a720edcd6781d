"""Leases: creating, extending, starting and cancelling them. How they end is in :mod:`.ending`."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.kit.ids import uuid7
from remotegpu.server.core.context import Caller
from remotegpu.server.core.errors import ConflictError, FieldProblem, InvalidError, NotFoundError
from remotegpu.server.core.hub import announce
from remotegpu.server.domains.allocations import repository, states
from remotegpu.server.domains.allocations.models import Allocation, ReclaimStep
from remotegpu.server.domains.allocations.schemas import AllocationCreate, AllocationView, StepView
from remotegpu.server.domains.audit import service as audit
from remotegpu.server.domains.customers.models import Customer
from remotegpu.server.domains.machines import repository as machine_rows
from remotegpu.server.domains.machines import service as machines
from remotegpu.server.domains.machines.models import Machine

LONGEST = timedelta(days=366 * 5)
PAST_TOLERANCE = timedelta(minutes=10)
"""How far in the past a start may lie: clocks of people's machines differ."""


def view(row: Any, steps: list[ReclaimStep]) -> AllocationView:
    allocation, machine_name, customer_name = row
    same = {
        name: getattr(allocation, name)
        for name in AllocationView.__struct_fields__
        if name not in {"machine_name", "customer_name", "steps"}
    }
    return AllocationView(
        **same,
        machine_name=machine_name,
        customer_name=customer_name,
        steps=[_step_view(step) for step in steps],
    )


def _step_view(step: ReclaimStep) -> StepView:
    return StepView(**{name: getattr(step, name) for name in StepView.__struct_fields__})


async def create(tx: AsyncSession, caller: Caller, body: AllocationCreate) -> Allocation:
    """Lease a machine. The machine's row lock lets exactly one of two simultaneous admins win."""
    now = utc_now()
    starts_at = body.starts_at or now
    check_dates(starts_at, body.ends_at, now)
    machine = await machine_rows.lock(tx, body.machine_id)
    customer = await tx.get(Customer, body.customer_id)
    if customer is None:
        raise NotFoundError(f"there is no customer {body.customer_id}")
    if customer.status != "active":
        raise ConflictError(
            f"{customer.name} is suspended; resume the customer first", code="customer_suspended"
        )
    immediate = starts_at <= now
    await _check_free(tx, machine, starts_at, body.ends_at, immediate=immediate)
    allocation = Allocation(
        id=uuid7(),
        machine_id=machine.id,
        customer_id=customer.id,
        state="scheduled",
        account=f"rg-{customer.company_code}",
        starts_at=starts_at,
        ends_at=body.ends_at,
        note=body.note,
        created_by=caller.user_id,
        created_at=now,
    )
    tx.add(allocation)
    await tx.flush()
    states.record(tx, allocation, states.CREATED, "scheduled")
    if immediate:
        await activate(tx, machine, allocation)
    return allocation


def check_dates(starts_at: datetime, ends_at: datetime, now: datetime) -> None:
    """Raise :class:`InvalidError` with every problem of the period."""
    problems: list[FieldProblem] = []
    if starts_at < now - PAST_TOLERANCE:
        problems.append(FieldProblem("starts_at", starts_at.isoformat(), "now or later"))
    if ends_at <= max(starts_at, now):
        problems.append(FieldProblem("ends_at", ends_at.isoformat(), "after the start, and in the future"))
    if ends_at - starts_at > LONGEST:
        problems.append(
            FieldProblem("ends_at", ends_at.isoformat(), f"at most {LONGEST.days} days after the start")
        )
    if problems:
        raise InvalidError("the period is not possible", code="invalid_period", errors=problems)


async def _check_free(
    tx: AsyncSession, machine: Machine, starts_at: datetime, ends_at: datetime, *, immediate: bool
) -> None:
    overlapping = (
        select(Allocation, Customer.name)
        .join(Customer, Customer.id == Allocation.customer_id)
        .where(
            Allocation.machine_id == machine.id,
            Allocation.state.in_((*repository.FUTURE_STATES, "reclaiming")),
            Allocation.starts_at < ends_at,
            (Allocation.ends_at > starts_at) | (Allocation.state == "reclaiming") & immediate,
        )
        .order_by(Allocation.starts_at)
        .limit(1)
    )
    row = (await tx.execute(overlapping)).first()
    if row is not None:
        taken: Allocation = row[0]
        raise ConflictError(
            f"{machine.name} is taken: {taken.state} for {row[1]} from {taken.starts_at:%Y-%m-%d %H:%M}"
            f" to {taken.ends_at:%Y-%m-%d %H:%M} UTC",
            code="machine_not_available",
        )
    if immediate and machine.state != "online":
        raise ConflictError(
            f"{machine.name} is {machine.state}, only an online machine can be leased",
            code="machine_not_available",
        )
    if immediate and not machine.reachable:
        raise ConflictError(
            f"{machine.name} is unreachable; lease it when it is back", code="machine_not_available"
        )


async def activate(tx: AsyncSession, machine: Machine, allocation: Allocation) -> None:
    """scheduled → active: the machine is allocated, the account and keys go in."""
    machines.set_state(
        tx, machine, "allocated", f"leased until {allocation.ends_at:%Y-%m-%d}", allocation.customer_id
    )
    states.set_state(tx, allocation, "active", "the period has begun")
    await tx.flush()
    await machines.bump(tx, machine.id)


async def extend(tx: AsyncSession, allocation_id: uuid.UUID, ends_at: datetime) -> Allocation:
    """Move the end, later or earlier, but not into the past and not into another lease."""
    allocation, machine = await repository.locked(tx, allocation_id)
    if allocation.state not in repository.FUTURE_STATES:
        raise ConflictError(
            f"this allocation is {allocation.state}; only a running or scheduled one can be extended"
        )
    check_dates(max(allocation.starts_at, utc_now()), ends_at, utc_now())
    following = await tx.scalar(
        select(Allocation.starts_at)
        .where(
            Allocation.machine_id == machine.id,
            Allocation.id != allocation.id,
            Allocation.state.in_(repository.FUTURE_STATES),
            Allocation.starts_at >= allocation.starts_at,
            Allocation.starts_at < ends_at,
        )
        .order_by(Allocation.starts_at)
        .limit(1)
    )
    if following is not None:
        raise ConflictError(
            f"another lease of {machine.name} begins at {following:%Y-%m-%d %H:%M} UTC",
            code="machine_not_available",
        )
    previous, allocation.ends_at = allocation.ends_at, ends_at
    detail = {"from": previous.isoformat(), "to": ends_at.isoformat()}
    audit.record(
        tx,
        "allocation.extend",
        "allocation",
        allocation.id,
        customer_id=allocation.customer_id,
        detail=detail,
    )
    announce(tx, "allocations", allocation.id, [str(allocation.customer_id)])
    return allocation


async def cancel(tx: AsyncSession, allocation_id: uuid.UUID) -> Allocation:
    """scheduled → cancelled."""
    allocation, _ = await repository.locked(tx, allocation_id)
    if allocation.state != "scheduled":
        raise ConflictError(
            f"this allocation is {allocation.state}; only a scheduled one can be cancelled, a running one is ended"
        )
    allocation.ended_at = utc_now()
    states.set_state(tx, allocation, "cancelled", "cancelled")
    return allocation


async def due(tx: AsyncSession, now: datetime) -> tuple[list[uuid.UUID], list[uuid.UUID], list[uuid.UUID]]:
    """Ids of allocations to activate, allocations to end, and machines being reclaimed."""
    starting = select(Allocation.id).where(Allocation.state == "scheduled", Allocation.starts_at <= now)
    ending = select(Allocation.id).where(
        Allocation.state.in_(repository.USABLE_STATES), Allocation.ends_at <= now
    )
    reclaiming = select(Allocation.machine_id).where(Allocation.state == "reclaiming")
    return (
        list(await tx.scalars(starting)),
        list(await tx.scalars(ending)),
        list(await tx.scalars(reclaiming)),
    )


async def start_due(tx: AsyncSession, allocation_id: uuid.UUID) -> bool:
    """Activate a scheduled allocation whose time has come, if its machine is ready. Returns whether it did.

    One whose whole period went by without that is cancelled: it must not be in the way of others.
    """
    allocation, machine = await repository.locked(tx, allocation_id)
    now = utc_now()
    if allocation.state != "scheduled" or allocation.starts_at > now:
        return False
    if allocation.ends_at <= now:
        allocation.ended_at, allocation.end_reason = now, "the machine was not ready during the whole period"
        states.set_state(tx, allocation, "cancelled", allocation.end_reason)
        return False
    if machine.state != "online" or not machine.reachable:
        return False
    await activate(tx, machine, allocation)
    return True


async def counts(tx: AsyncSession, caller: Caller, soon: datetime) -> tuple[int, int]:
    """Active allocations, and those of them that end before ``soon``."""
    query = select(func.count(), func.count().filter(Allocation.ends_at < soon)).where(
        Allocation.state.in_(repository.USABLE_STATES)
    )
    if not caller.is_admin:
        query = query.where(Allocation.customer_id == caller.customer_id)
    active, ending = (await tx.execute(query)).one()
    return active, ending
