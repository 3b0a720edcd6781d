"""Leases: creating, extending, starting, ending, and reclaiming the machine afterwards."""

import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.kit.ids import uuid7
from remotegpu.protocol.inventory import HostSample
from remotegpu.server.core.context import Caller
from remotegpu.server.core.errors import ConflictError, FieldProblem, InvalidError, NotFoundError
from remotegpu.server.core.hub import announce
from remotegpu.server.domains.allocations import reclaim, repository
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

OnEnd = Callable[[AsyncSession, Allocation, str], Awaitable[None]]

_on_end: list[OnEnd] = []


def on_end(action: OnEnd) -> OnEnd:
    """Register what else must happen in the transaction that ends a lease (tasks, sessions)."""
    if action not in _on_end:
        _on_end.append(action)
    return action


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
    _announce_state(tx, allocation, "created", "scheduled")
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
    _set_state(tx, allocation, "active", "the period has begun")
    await tx.flush()
    await machines.bump(tx, machine.id)


async def extend(tx: AsyncSession, allocation_id: uuid.UUID, ends_at: datetime) -> Allocation:
    """Move the end, later or earlier, but not into the past and not into another lease."""
    allocation, machine = await _locked(tx, allocation_id)
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
    allocation, _ = await _locked(tx, allocation_id)
    if allocation.state != "scheduled":
        raise ConflictError(
            f"this allocation is {allocation.state}; only a scheduled one can be cancelled, a running one is ended"
        )
    allocation.ended_at = utc_now()
    _set_state(tx, allocation, "cancelled", "cancelled")
    return allocation


async def end(tx: AsyncSession, allocation_id: uuid.UUID, reason: str) -> Allocation:
    """active → reclaiming: one transaction takes keys, sessions, streams and tasks away; visible steps follow."""
    allocation, machine = await _locked(tx, allocation_id)
    if allocation.state not in repository.USABLE_STATES:
        raise ConflictError(
            f"this allocation is {allocation.state}; only a running one can be ended", code="not_active"
        )
    now = utc_now()
    allocation.ended_at, allocation.end_reason = now, reason
    _set_state(tx, allocation, "reclaiming", reason)
    machines.set_state(tx, machine, "reclaiming", reason or "the lease has ended", allocation.customer_id)
    for position, name in enumerate(reclaim.STEPS):
        done = name == "revoke_access"
        tx.add(
            ReclaimStep(
                allocation_id=allocation.id,
                position=position,
                name=name,
                status="done" if done else "pending",
                started_at=now if done else None,
                finished_at=now if done else None,
            )
        )
    await tx.flush()
    for action in _on_end:
        await action(tx, allocation, reason)
    await machines.bump(tx, machine.id)
    return allocation


async def account_reported(tx: AsyncSession, allocation_id: uuid.UUID, *, wiped: bool, detail: str) -> bool:
    """The agent's word on the account of an ended lease. Returns whether that was news."""
    allocation = await tx.get(Allocation, allocation_id)
    if allocation is None or allocation.state != "reclaiming":
        return False
    if (allocation.account_wiped, allocation.account_detail) == (wiped, detail):
        return False
    allocation.account_wiped, allocation.account_detail = wiped, detail
    await tx.flush()
    return True


async def advance(tx: AsyncSession, machine_id: uuid.UUID, sample: HostSample | None) -> None:
    """Bring the steps of a reclaiming machine up to the facts; offer it again when all are done. Idempotent."""
    machine = await machine_rows.lock(tx, machine_id)
    allocation = await repository.holder(tx, machine_id)
    if allocation is None or allocation.state != "reclaiming":
        return
    open_attempts, open_sessions = await repository.open_work(tx, machine_id)
    facts = reclaim.Facts(
        open_attempts=open_attempts,
        open_sessions=open_sessions,
        account_wiped=allocation.account_wiped,
        account_detail=allocation.account_detail,
        reachable=machine.reachable,
        unreachable_since=f"{machine.reachability_since:%Y-%m-%d %H:%M} UTC"
        if machine.reachability_since
        else "now",
        gpu_processes=_gpu_processes(sample),
    )
    statuses = reclaim.statuses(facts)
    steps = (await repository.steps_of(tx, [allocation.id]))[allocation.id]
    changed = [_update_step(step, statuses[step.name], utc_now()) for step in steps]
    if any(changed):
        announce(tx, "allocations", allocation.id, [str(allocation.customer_id)])
    if all(status.status == "done" for status in statuses.values()):
        await _finish(tx, machine, allocation)


def _gpu_processes(sample: HostSample | None) -> int | None:
    if sample is None:
        return None
    counts = [gpu.processes for gpu in sample.gpus if gpu.processes is not None]
    return sum(counts) if counts else None


def _update_step(step: ReclaimStep, status: reclaim.Status, now: datetime) -> bool:
    if (step.status, step.detail) == (status.status, status.detail):
        return False
    step.status, step.detail = status.status, status.detail
    if status.status != "pending":
        step.started_at = step.started_at or now
    step.finished_at = now if status.status == "done" else None
    return True


async def _finish(tx: AsyncSession, machine: Machine, allocation: Allocation) -> None:
    """reclaiming → ended, and the machine is offered again (or stays in maintenance when that was asked for)."""
    _set_state(tx, allocation, "ended", "the machine is clean")
    machines.set_state(tx, machine, "online", "reclaimed and checked")
    if machine.maintenance:
        machines.set_state(tx, machine, "maintenance", "maintenance was switched on during the lease")
    await tx.flush()
    await machines.bump(tx, machine.id)


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
    """Activate a scheduled allocation whose time has come, if its machine is ready. Returns whether it did."""
    allocation, machine = await _locked(tx, allocation_id)
    if allocation.state != "scheduled" or allocation.starts_at > utc_now() or machine.state != "online":
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


async def _locked(tx: AsyncSession, allocation_id: uuid.UUID) -> tuple[Allocation, Machine]:
    """The allocation and its machine. The machine is locked first, as everywhere, so that nothing deadlocks."""
    machine_id = await tx.scalar(select(Allocation.machine_id).where(Allocation.id == allocation_id))
    if machine_id is None:
        raise NotFoundError(f"there is no allocation {allocation_id}")
    machine = await machine_rows.lock(tx, machine_id)
    allocation = await tx.get(Allocation, allocation_id, populate_existing=True)
    assert allocation is not None
    return allocation, machine


def _set_state(tx: AsyncSession, allocation: Allocation, wanted: str, reason: str) -> None:
    """The one place where an allocation changes its state."""
    previous, allocation.state = allocation.state, wanted
    _announce_state(tx, allocation, previous, wanted, reason)


def _announce_state(
    tx: AsyncSession, allocation: Allocation, previous: str, wanted: str, reason: str = ""
) -> None:
    audit.record(
        tx,
        f"allocation.{'create' if previous == 'created' else wanted}",
        "allocation",
        allocation.id,
        customer_id=allocation.customer_id,
        detail={
            "from": previous,
            "to": wanted,
            "reason": reason,
            "machine_id": str(allocation.machine_id),
            "ends_at": allocation.ends_at.isoformat(),
        },
    )
    customers = [str(allocation.customer_id)]
    announce(tx, "allocations", allocation.id, customers)
    announce(tx, "machines", allocation.machine_id, customers)
