"""Starting queued tasks on a machine whose row is locked, and finding machines where something may start."""

import uuid
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.kit.ids import uuid7
from remotegpu.server.domains.machines import repository as machine_rows
from remotegpu.server.domains.machines import service as machines
from remotegpu.server.domains.machines.models import Machine
from remotegpu.server.domains.tasks import placement, repository, states
from remotegpu.server.domains.tasks.models import Attempt, Task

QUEUE_LOOKAHEAD = 200
"""Queued tasks considered at once; the rest waits behind them anyway."""


async def place_queued(tx: AsyncSession, machine: Machine, lease: timedelta) -> list[Attempt]:
    """Start what fits on a machine whose row the caller has locked; say of the rest why it waits.

    Returns the attempts that begin.
    """
    now = utc_now()
    obstacle = _obstacle(machine)
    if not obstacle:
        queue, in_use = await repository.queue_of(tx, machine.id, now, QUEUE_LOOKAHEAD)
        room = placement.capacity(machine.gpu_count, machine.cpu_threads, in_use)
        if room.free_slots > 0 or not queue:
            return await _fill(tx, machine, queue, room, lease)
        obstacle = placement.NO_SLOT
    await repository.explain_wait(tx, machine.id, now, obstacle)
    return []


async def _fill(
    tx: AsyncSession,
    machine: Machine,
    queue: list[placement.Waiting],
    room: placement.Capacity,
    lease: timedelta,
) -> list[Attempt]:
    now = utc_now()
    begun: list[Attempt] = []
    for choice in placement.place(queue, room, machine.gpu_count, now):
        if choice.gpu_indices is not None:
            task = await tx.get(Task, choice.task_id)
            assert task is not None, "the machine's lock keeps the queue as it was read"
            begun.append(_assign(tx, task, choice.gpu_indices, now, lease))
        elif choice.reason != choice.previous_reason:
            await repository.explain_wait_of(tx, choice.task_id, choice.reason)
    await tx.flush()
    if begun:
        await machines.bump(tx, machine.id)
    return begun


def _obstacle(machine: Machine) -> str:
    """Why nothing may start on this machine now; empty when something may."""
    if machine.state != "allocated":
        return f"waits: the machine is {machine.state}"
    if machine.maintenance:
        return "waits: the machine is in maintenance"
    if not machine.reachable:
        return "waits: the machine is unreachable"
    return ""


def _assign(tx: AsyncSession, task: Task, gpu_indices: list[int], now: datetime, lease: timedelta) -> Attempt:
    task.attempt += 1
    task.exit_code = None
    attempt = Attempt(
        id=uuid7(),
        task_id=task.id,
        number=task.attempt,
        machine_id=task.machine_id,
        state="assigned",
        reason="",
        gpu_indices=gpu_indices,
        lease_expires_at=now + lease,
        assigned_at=now,
    )
    tx.add(attempt)
    states.set_state(tx, task, "assigned", "")
    return attempt


async def place_on(tx: AsyncSession, machine_id: uuid.UUID, lease: timedelta) -> None:
    """The same, locking the machine first."""
    await place_queued(tx, await machine_rows.lock(tx, machine_id), lease)


async def machines_with_due_tasks(tx: AsyncSession, now: datetime) -> list[uuid.UUID]:
    """Machines with a queued task that may start: retries that are due, and whatever a crash left behind."""
    query = (
        select(Task.machine_id)
        .join(Machine, Machine.id == Task.machine_id)
        .where(
            Task.state == "queued",
            func.coalesce(Task.not_before, now) <= now,
            Machine.state == "allocated",
            Machine.reachable.is_(True),
            Machine.maintenance.is_(False),
        )
        .distinct()
    )
    return list(await tx.scalars(query))
