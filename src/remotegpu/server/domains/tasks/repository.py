"""Reading tasks, filtered by who asks."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.server.core.context import Caller
from remotegpu.server.core.errors import NotFoundError
from remotegpu.server.core.paging import Rows
from remotegpu.server.domains.auth.models import User
from remotegpu.server.domains.machines.models import Machine
from remotegpu.server.domains.tasks.models import Artifact, Attempt, Task
from remotegpu.server.domains.tasks.placement import Waiting

OPEN = ("assigned", "running")
STOPPING = "stopping: "
"""How the reason of a task begins that was asked to stop and has not ended."""
FINAL = ("succeeded", "failed", "timed_out", "stopped", "cancelled")


def tasks(caller: Caller | None) -> Rows:
    """Rows of (Task, machine name, submitter name, log bytes, log truncated) that ``caller`` may see."""
    query = (
        select(
            Task,
            Machine.name,
            User.display_name,
            func.coalesce(Attempt.log_stored, 0),
            func.coalesce(Attempt.log_truncated, False),
        )
        .join(Machine, Machine.id == Task.machine_id)
        .join(User, User.id == Task.submitted_by)
        .outerjoin(Attempt, and_(Attempt.task_id == Task.id, Attempt.number == Task.attempt))
    )
    if caller is not None and not caller.is_admin:
        query = query.where(Task.customer_id == caller.customer_id)
    return query


async def find(tx: AsyncSession, caller: Caller | None, task_id: uuid.UUID) -> Any:
    """One row. Raises :class:`NotFoundError`, also for somebody else's."""
    row = (await tx.execute(tasks(caller).where(Task.id == task_id))).first()
    if row is None:
        raise NotFoundError(f"there is no task {task_id}")
    return row


def _due(machine_id: Any, now: Any) -> ColumnElement[bool]:  # Any: values, or parameters of a statement
    """Queued on that machine, and no back-off to wait for."""
    return and_(
        Task.machine_id == machine_id,
        Task.state == "queued",
        or_(Task.not_before.is_(None), Task.not_before <= now),
    )


_GPUS_IN_USE = (
    select(func.coalesce(func.jsonb_agg(Attempt.gpu_indices), text("'[]'::jsonb")))
    .where(Attempt.machine_id == bindparam("on_machine"), Attempt.state.in_(OPEN))
    .scalar_subquery()
)
_QUEUE = (
    select(Task.id, Task.gpus, Task.not_before, Task.reason, _GPUS_IN_USE)
    .where(_due(bindparam("on_machine"), bindparam("by")))
    .order_by(Task.priority.desc(), Task.queued_at, Task.id)
    .limit(bindparam("most"))
)
_DESIRED = (
    select(Attempt, Task)
    .join(Task, Task.id == Attempt.task_id)
    .where(Attempt.machine_id == bindparam("on_machine"), Attempt.state.in_(OPEN))
    .order_by(Attempt.id)
)
"""Built once: they lie between a submission and its start, where each millisecond counts."""


async def queue_of(
    tx: AsyncSession, machine_id: uuid.UUID, now: datetime, limit: int
) -> tuple[list[Waiting], list[list[int]]]:
    """Queued tasks of a machine whose back-off is over, in the order they may start; GPU indices of each open attempt.

    Nobody needs the second where nothing waits: it is empty then.
    """
    found = await tx.execute(_QUEUE, {"on_machine": machine_id, "by": now, "most": limit})
    rows = found.all()
    queue = [Waiting(task_id=row[0], gpus=row[1], not_before=row[2], reason=row[3]) for row in rows]
    return queue, rows[0][4] if rows else []


async def explain_wait(tx: AsyncSession, machine_id: uuid.UUID, now: datetime, reason: str) -> None:
    """Say of every due task of a machine why it waits."""
    await tx.execute(update(Task).where(_due(machine_id, now), Task.reason != reason).values(reason=reason))


async def explain_wait_of(tx: AsyncSession, task_id: uuid.UUID, reason: str) -> None:
    await tx.execute(update(Task).where(Task.id == task_id).values(reason=reason))


async def desired_attempts(tx: AsyncSession, machine_id: uuid.UUID) -> list[tuple[Attempt, Task]]:
    """Open attempts of a machine with their tasks: what the agent should be running."""
    rows = await tx.execute(_DESIRED, {"on_machine": machine_id})
    return [(attempt, task) for attempt, task in rows.all()]


async def attempts_of(tx: AsyncSession, task_id: uuid.UUID) -> list[Attempt]:
    return list(await tx.scalars(select(Attempt).where(Attempt.task_id == task_id).order_by(Attempt.number)))


async def artifacts_of(tx: AsyncSession, task_id: uuid.UUID) -> list[Artifact]:
    """Artifacts of the latest attempt that left some."""
    query = (
        select(Artifact)
        .join(Attempt, Attempt.id == Artifact.attempt_id)
        .where(Artifact.task_id == task_id)
        .order_by(Attempt.number.desc(), Artifact.path)
    )
    rows = list(await tx.scalars(query))
    return [row for row in rows if row.attempt_id == rows[0].attempt_id]


async def attempt_for_log(tx: AsyncSession, task_id: uuid.UUID, number: int | None) -> Attempt | None:
    """The wanted attempt, or the latest; None before the first."""
    query = select(Attempt).where(Attempt.task_id == task_id).order_by(Attempt.number.desc()).limit(1)
    if number is not None:
        query = query.where(Attempt.number == number)
    return await tx.scalar(query.execution_options(populate_existing=True))
