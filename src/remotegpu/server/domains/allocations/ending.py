"""The end of a lease: one transaction that takes everything away, then the steps until the machine is offered again."""

import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.protocol.inventory import HostSample
from remotegpu.protocol.sync import AccountReport
from remotegpu.server.core.errors import ConflictError
from remotegpu.server.core.hub import announce
from remotegpu.server.domains.allocations import reclaim, repository, states
from remotegpu.server.domains.allocations.models import Allocation, ReclaimStep
from remotegpu.server.domains.machines import repository as machine_rows
from remotegpu.server.domains.machines import service as machines
from remotegpu.server.domains.machines.models import Machine

OnEnd = Callable[[AsyncSession, Allocation, str], Awaitable[None]]

_on_end: list[OnEnd] = []


def on_end(action: OnEnd) -> OnEnd:
    """Register what else must happen in the transaction that ends a lease (tasks, sessions)."""
    if action not in _on_end:
        _on_end.append(action)
    return action


async def end(tx: AsyncSession, allocation_id: uuid.UUID, reason: str) -> Allocation:
    """active → reclaiming, now."""
    allocation, machine = await repository.locked(tx, allocation_id)
    if allocation.state not in repository.USABLE_STATES:
        raise ConflictError(
            f"this allocation is {allocation.state}; only a running one can be ended", code="not_active"
        )
    await _end(tx, allocation, machine, reason)
    return allocation


async def end_due(tx: AsyncSession, allocation_id: uuid.UUID) -> bool:
    """The same for a lease whose period is over. False when somebody has ended or extended it meanwhile."""
    allocation, machine = await repository.locked(tx, allocation_id)
    if allocation.state not in repository.USABLE_STATES or allocation.ends_at > utc_now():
        return False
    await _end(tx, allocation, machine, "the agreed period is over")
    return True


async def _end(tx: AsyncSession, allocation: Allocation, machine: Machine, reason: str) -> None:
    """One transaction takes keys, sessions, streams and tasks away; visible steps follow."""
    now = utc_now()
    allocation.ended_at, allocation.end_reason = now, reason
    states.set_state(tx, allocation, "reclaiming", reason)
    machines.set_state(tx, machine, "reclaiming", reason, allocation.customer_id)
    tx.add_all(_first_steps(allocation.id, now))
    await tx.flush()
    for action in _on_end:
        await action(tx, allocation, reason)
    await machines.bump(tx, machine.id)


def _first_steps(allocation_id: uuid.UUID, now: datetime) -> list[ReclaimStep]:
    """Access is gone with the commit of this very transaction; the rest is still to do."""
    return [
        ReclaimStep(
            allocation_id=allocation_id,
            position=position,
            name=name,
            status="done" if name == "revoke_access" else "pending",
            started_at=now if name == "revoke_access" else None,
            finished_at=now if name == "revoke_access" else None,
        )
        for position, name in enumerate(reclaim.STEPS)
    ]


async def account_reported(
    tx: AsyncSession, machine_id: uuid.UUID, allocation_id: uuid.UUID, report: AccountReport
) -> tuple[bool, bool]:
    """The agent's word on the account of an ended lease of its machine.

    Returns whether that lease is being reclaimed at all, and whether the word was news.
    """
    await machine_rows.lock(tx, machine_id)
    allocation = await tx.scalar(select(Allocation).filter_by(id=allocation_id, machine_id=machine_id))
    if allocation is None or allocation.state != "reclaiming":
        return False, False
    wiped = report.state == "absent"
    detail = "" if wiped else report.detail.replace("\x00", "\ufffd")[:500] or "the clean-up failed"
    if allocation.account_wiped or (not wiped and allocation.account_detail == detail):
        return True, False
    allocation.account_wiped, allocation.account_detail = wiped, detail
    await tx.flush()
    return True, True


async def advance(tx: AsyncSession, machine_id: uuid.UUID, sample: HostSample | None) -> None:
    """Bring the steps of a reclaiming machine up to the facts; offer it again when all are done. Idempotent."""
    machine = await machine_rows.lock(tx, machine_id)
    allocation = await repository.holder(tx, machine_id)
    if allocation is None or allocation.state != "reclaiming":
        return
    statuses = reclaim.statuses(await _facts(tx, machine, allocation, sample))
    steps = (await repository.steps_of(tx, [allocation.id]))[allocation.id]
    changed = [_update_step(step, statuses[step.name], utc_now()) for step in steps]
    if any(changed):
        announce(tx, "allocations", allocation.id, [str(allocation.customer_id)])
    if all(status.status == "done" for status in statuses.values()):
        await _finish(tx, machine, allocation)


async def _facts(
    tx: AsyncSession, machine: Machine, allocation: Allocation, sample: HostSample | None
) -> reclaim.Facts:
    open_attempts, open_sessions = await repository.open_work(tx, machine.id)
    since = machine.reachability_since
    return reclaim.Facts(
        open_attempts=open_attempts,
        open_sessions=open_sessions,
        account_wiped=allocation.account_wiped,
        account_detail=allocation.account_detail,
        reachable=machine.reachable,
        unreachable_since=f"{since:%Y-%m-%d %H:%M} UTC" if since else "now",
        gpu_processes=_gpu_processes(sample),
    )


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
    states.set_state(tx, allocation, "ended", "the machine is clean")
    if machine.maintenance:
        machines.set_state(tx, machine, "maintenance", "maintenance was switched on during the lease")
    else:
        machines.set_state(tx, machine, "online", "reclaimed and checked")
    await tx.flush()
    await machines.bump(tx, machine.id)
