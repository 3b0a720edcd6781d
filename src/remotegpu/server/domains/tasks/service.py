"""Tasks: showing, submitting and stopping them."""

import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.kit.ids import uuid7
from remotegpu.server.core.context import Caller
from remotegpu.server.core.errors import ConflictError, FieldProblem, InvalidError
from remotegpu.server.core.hub import announce
from remotegpu.server.domains.allocations import ending
from remotegpu.server.domains.allocations import repository as leases
from remotegpu.server.domains.allocations.models import Allocation
from remotegpu.server.domains.audit import service as audit
from remotegpu.server.domains.machines import repository as machine_rows
from remotegpu.server.domains.machines import service as machines
from remotegpu.server.domains.machines.models import Machine
from remotegpu.server.domains.tasks import repository, scheduling, states
from remotegpu.server.domains.tasks.models import Artifact, Attempt, Task
from remotegpu.server.domains.tasks.schemas import ArtifactView, AttemptView, TaskCreate, TaskDetail, TaskView

_SAME_NAME = [
    name
    for name in TaskView.__struct_fields__
    if name not in {"machine_name", "submitted_by_name", "env_keys", "log_bytes", "log_truncated"}
]


def _fields(row: Any) -> dict[str, Any]:
    task, machine_name, submitter, log_bytes, truncated = row
    return {name: getattr(task, name) for name in _SAME_NAME} | {
        "machine_name": machine_name,
        "submitted_by_name": submitter,
        "env_keys": sorted(task.env),
        "log_bytes": log_bytes,
        "log_truncated": truncated,
    }


def view(row: Any) -> TaskView:
    return TaskView(**_fields(row))


def artifact_view(row: Artifact) -> ArtifactView:
    return ArtifactView(id=row.id, path=row.path, size_bytes=row.size_bytes, sha256=row.sha256)


async def detail(tx: AsyncSession, caller: Caller, task_id: uuid.UUID) -> TaskDetail:
    """One task with its attempts and artifacts."""
    row = await repository.find(tx, caller, task_id)
    attempts = await repository.attempts_of(tx, task_id)
    return _detail(row, attempts, await repository.artifacts_of(tx, task_id))


def _detail(row: Any, attempts: list[Attempt], artifacts: list[Artifact]) -> TaskDetail:
    return TaskDetail(
        **_fields(row),
        attempts=[
            AttemptView(**{name: getattr(a, name) for name in AttemptView.__struct_fields__})
            for a in attempts
        ],
        artifacts=[artifact_view(artifact) for artifact in artifacts],
    )


async def submit(tx: AsyncSession, caller: Caller, body: TaskCreate, lease: timedelta) -> TaskDetail:
    """Queue a task on a leased machine, and start it in the same transaction when there is room."""
    # Locked first, so that the lease cannot end meanwhile. A machine that is not there is refused like a foreign one.
    machine = await tx.get(Machine, body.machine_id, with_for_update=True)
    allocation = await leases.usable(tx, caller, body.machine_id)
    assert machine is not None, "what is leased exists"
    _check_request(body, machine)
    now = utc_now()
    task = Task(
        id=uuid7(),
        name=body.name,
        kind=body.kind,
        state="queued",
        machine_id=machine.id,
        allocation_id=allocation.id,
        customer_id=allocation.customer_id,
        submitted_by=caller.user_id,
        command=body.command,
        args=body.args,
        env=body.env,
        workdir=body.workdir,
        timeout_s=body.timeout_s,
        priority=body.priority,
        max_retries=body.max_retries,
        gpus=body.gpus,
        created_at=now,
        queued_at=now,
    )
    tx.add(task)
    audit.record(
        tx,
        "task.submit",
        "task",
        task.id,
        customer_id=task.customer_id,
        detail={"name": task.name, "kind": task.kind, "machine_id": str(machine.id)},
    )
    await tx.flush()
    begun = await scheduling.place_queued(tx, machine, lease)
    announce(tx, "tasks", task.id, [str(task.customer_id)])
    own = [attempt for attempt in begun if attempt.task_id == task.id]
    if not own:
        return await detail(tx, caller, task.id)
    return _detail((task, machine.name, caller.display_name, 0, False), own, [])


def _check_request(body: TaskCreate, machine: Machine) -> None:
    problems: list[FieldProblem] = []
    if body.gpus > machine.gpu_count:
        problems.append(
            FieldProblem("gpus", str(body.gpus), f"at most {machine.gpu_count}, which {machine.name} has")
        )
    if body.kind == "script" and not body.command.startswith("#!"):
        problems.append(
            FieldProblem("command", body.command[:20], "a first line that begins with #! such as #!/bin/bash")
        )
    if problems:
        raise InvalidError("the task cannot run on this machine", code="impossible_task", errors=problems)


async def stop(tx: AsyncSession, task_id: uuid.UUID, reason: str) -> None:
    """queued → cancelled; assigned or running → the agent is asked to stop it. A final task stays as it is."""
    machine_id = await tx.scalar(select(Task.machine_id).where(Task.id == task_id))
    assert machine_id is not None
    await machine_rows.lock(tx, machine_id)
    task = await tx.get(Task, task_id, populate_existing=True)
    assert task is not None
    if task.state in repository.FINAL:
        raise ConflictError(f"this task is {task.state} already", code="task_is_final")
    audit.record(
        tx,
        "task.stop",
        "task",
        task.id,
        customer_id=task.customer_id,
        detail={"reason": reason, "state": task.state},
    )
    await _stop(tx, task, reason)
    await machines.bump(tx, machine_id)


async def _stop(tx: AsyncSession, task: Task, reason: str) -> None:
    if task.state == "queued":
        task.finished_at = utc_now()
        states.set_state(tx, task, "cancelled", reason)
    else:
        task.reason = f"{repository.STOPPING}{reason}"[:500]
        await tx.execute(
            update(Attempt)
            .where(Attempt.task_id == task.id, Attempt.state.in_(repository.OPEN))
            .values(stop_requested=True)
        )
        announce(tx, "tasks", task.id, [str(task.customer_id)])
    await tx.flush()


@ending.on_end
async def stop_tasks_of(tx: AsyncSession, allocation: Allocation, reason: str) -> None:
    """A lease has ended: cancel what waits, stop what runs."""
    unfinished = select(Task).where(Task.allocation_id == allocation.id, Task.state.not_in(repository.FINAL))
    for task in await tx.scalars(unfinished):
        await _stop(tx, task, reason or "the lease has ended")
