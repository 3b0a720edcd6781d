"""Tasks: submitting, placing, reports from agents, stopping, retrying. A status changes in one function only."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.kit.ids import uuid7
from remotegpu.protocol.attempts import AttemptReport
from remotegpu.server.core.context import Caller
from remotegpu.server.core.errors import ConflictError, FieldProblem, InvalidError
from remotegpu.server.core.hub import announce
from remotegpu.server.domains.allocations import repository as leases
from remotegpu.server.domains.allocations import service as allocations
from remotegpu.server.domains.allocations.models import Allocation
from remotegpu.server.domains.audit import service as audit
from remotegpu.server.domains.machines import repository as machine_rows
from remotegpu.server.domains.machines import service as machines
from remotegpu.server.domains.machines.models import Machine
from remotegpu.server.domains.tasks import placement, repository
from remotegpu.server.domains.tasks.models import Artifact, Attempt, Task
from remotegpu.server.domains.tasks.schemas import ArtifactView, AttemptView, TaskCreate, TaskDetail, TaskView

QUEUE_LOOKAHEAD = 200
"""Queued tasks considered at once; the rest waits behind them anyway."""

log = structlog.get_logger()

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
    return TaskDetail(
        **_fields(row),
        attempts=[
            AttemptView(**{name: getattr(a, name) for name in AttemptView.__struct_fields__})
            for a in attempts
        ],
        artifacts=[artifact_view(artifact) for artifact in await repository.artifacts_of(tx, task_id)],
    )


async def submit(tx: AsyncSession, caller: Caller, body: TaskCreate, lease: timedelta) -> Task:
    """Queue a task on a leased machine, and start it in the same transaction when there is room."""
    allocation = await leases.usable(tx, caller, body.machine_id)
    machine = await machine_rows.lock(tx, body.machine_id)
    await tx.refresh(allocation)
    if allocation.state not in leases.USABLE_STATES:
        raise ConflictError("the lease of this machine has just ended", code="no_active_allocation")
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
    await place_queued(tx, machine, lease)
    announce(tx, "tasks", task.id, [str(task.customer_id)])
    return task


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


async def place_queued(tx: AsyncSession, machine: Machine, lease: timedelta) -> None:
    """Start what fits on a machine whose row the caller has locked."""
    if machine.maintenance or machine.state != "allocated":
        return
    queue = await repository.queue_of(tx, machine.id, QUEUE_LOOKAHEAD)
    if not queue:
        return
    now = utc_now()
    in_use = [attempt.gpu_indices for attempt in await repository.open_attempts(tx, machine.id)]
    waiting = [
        placement.Waiting(task_id=task.id, gpus=task.gpus, not_before=task.not_before) for task in queue
    ]
    room = placement.capacity(machine.gpu_count, machine.cpu_threads, in_use)
    by_id = {task.id: task for task in queue}
    placed = False
    for choice in placement.place(waiting, room, machine.gpu_count, now):
        task = by_id[choice.task_id]
        if choice.gpu_indices is None:
            task.reason = choice.reason
            continue
        _assign(tx, task, choice.gpu_indices, now, lease)
        placed = True
    await tx.flush()
    if placed:
        await machines.bump(tx, machine.id)


def _assign(tx: AsyncSession, task: Task, gpu_indices: list[int], now: datetime, lease: timedelta) -> None:
    task.attempt += 1
    tx.add(
        Attempt(
            id=uuid7(),
            task_id=task.id,
            number=task.attempt,
            machine_id=task.machine_id,
            state="assigned",
            gpu_indices=gpu_indices,
            lease_expires_at=now + lease,
            assigned_at=now,
        )
    )
    _set_state(tx, task, "assigned", "")


async def place_on(tx: AsyncSession, machine_id: uuid.UUID, lease: timedelta) -> None:
    """The same, locking the machine first."""
    await place_queued(tx, await machine_rows.lock(tx, machine_id), lease)


async def report(tx: AsyncSession, machine_id: uuid.UUID, told: AttemptReport, lease: timedelta) -> bool:
    """Apply one report of an agent. Idempotent. False: refused, the attempt is not this machine's to run any more."""
    attempt = await _locked_attempt(tx, machine_id, told.attempt_id)
    if attempt is None or attempt.state == "lost":
        return False
    if attempt.state not in repository.OPEN:
        return attempt.state == told.state
    task = await tx.get(Task, attempt.task_id)
    assert task is not None
    now = utc_now()
    attempt.lease_expires_at = now + lease
    if told.state == "running":
        if attempt.state == "assigned":
            attempt.state, attempt.started_at = "running", _bounded(told.started_at, attempt.assigned_at, now)
            task.started_at = attempt.started_at
            _set_state(tx, task, "running", "")
        return True
    _close_attempt(tx, attempt, told, now)
    _after_attempt(tx, task, attempt, now)
    await tx.flush()
    machine = await tx.get(Machine, machine_id)
    assert machine is not None
    await place_queued(tx, machine, lease)
    await machines.bump(tx, machine_id)
    return True


async def _locked_attempt(tx: AsyncSession, machine_id: uuid.UUID, attempt_id: str) -> Attempt | None:
    try:
        wanted = uuid.UUID(attempt_id)
    except ValueError:
        return None
    await machine_rows.lock(tx, machine_id)
    return await tx.scalar(select(Attempt).filter_by(id=wanted, machine_id=machine_id))


def _bounded(told: float | None, earliest: datetime, latest: datetime) -> datetime:
    """The agent's clock may be wrong: keep what it says between what the server knows."""
    if told is None:
        return latest
    try:
        moment = datetime.fromtimestamp(told, tz=latest.tzinfo)
    except (ValueError, OverflowError, OSError):
        return latest
    return min(max(moment, earliest), latest)


def _close_attempt(tx: AsyncSession, attempt: Attempt, told: AttemptReport, now: datetime) -> None:
    attempt.state, attempt.reason, attempt.exit_code = told.state, told.reason[:500], told.exit_code
    started_at = attempt.started_at or _bounded(told.started_at, attempt.assigned_at, now)
    attempt.started_at = started_at
    attempt.finished_at = _bounded(told.finished_at, started_at, now)
    attempt.log_truncated = told.log_truncated
    for file in told.artifacts:
        tx.add(
            Artifact(
                id=uuid7(),
                task_id=attempt.task_id,
                attempt_id=attempt.id,
                path=file.path,
                size_bytes=file.size_bytes,
                sha256=file.sha256,
                object_key=artifact_key(attempt, file.sha256, file.path),
                created_at=now,
            )
        )


def artifact_key(attempt: Attempt, sha256: str, path: str) -> str:
    """Where an artifact lies in the object store. Named by content, so hostile file names never become keys."""
    suffix = path.rpartition(".")[2]
    safe = (
        f".{suffix}" if suffix != path and suffix.isascii() and suffix.isalnum() and len(suffix) <= 12 else ""
    )
    return f"artifacts/{attempt.task_id}/{attempt.id}/{sha256}{safe}"


def _after_attempt(tx: AsyncSession, task: Task, attempt: Attempt, now: datetime) -> None:
    """The task's fate once an attempt has ended: final, or another try."""
    task.exit_code = attempt.exit_code
    may_retry = attempt.state in {"failed", "timed_out", "lost"} and not attempt.stop_requested
    if may_retry and task.attempt <= task.max_retries:
        task.not_before = now + placement.retry_delay(task.attempt)
        task.queued_at = now
        why = attempt.reason or attempt.state
        _set_state(
            tx,
            task,
            "queued",
            f"attempt {task.attempt} {attempt.state} ({why}); retries at {task.not_before:%H:%M:%S} UTC",
        )
        return
    task.finished_at = attempt.finished_at or now
    final = "failed" if attempt.state == "lost" else attempt.state
    _set_state(tx, task, final, attempt.reason)


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
        _set_state(tx, task, "cancelled", reason)
    else:
        task.reason = f"stopping: {reason}"
        await tx.execute(
            update(Attempt)
            .where(Attempt.task_id == task.id, Attempt.state.in_(repository.OPEN))
            .values(stop_requested=True)
        )
        announce(tx, "tasks", task.id, [str(task.customer_id)])
    await tx.flush()


@allocations.on_end
async def stop_tasks_of(tx: AsyncSession, allocation: Allocation, reason: str) -> None:
    """A lease has ended: cancel what waits, stop what runs."""
    unfinished = select(Task).where(Task.allocation_id == allocation.id, Task.state.not_in(repository.FINAL))
    for task in await tx.scalars(unfinished):
        await _stop(tx, task, reason or "the lease has ended")


async def renew(tx: AsyncSession, attempt_ids: list[uuid.UUID], lease: timedelta) -> None:
    """Renew the leases of attempts whose agent has just been heard of, in one statement."""
    await tx.execute(
        update(Attempt)
        .where(Attempt.id.in_(attempt_ids), Attempt.state.in_(repository.OPEN))
        .values(lease_expires_at=utc_now() + lease)
    )


async def expired(tx: AsyncSession, now: datetime) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """(attempt, machine) of attempts whose lease ran out."""
    query = select(Attempt.id, Attempt.machine_id).where(
        Attempt.state.in_(repository.OPEN), Attempt.lease_expires_at < now
    )
    return [(attempt_id, machine_id) for attempt_id, machine_id in (await tx.execute(query)).all()]


async def lose(tx: AsyncSession, attempt_id: uuid.UUID, machine_id: uuid.UUID, lease: timedelta) -> bool:
    """An attempt whose lease ran out is lost: another try, or failed. Its own late report will be refused."""
    machine = await machine_rows.lock(tx, machine_id)
    attempt = await tx.get(Attempt, attempt_id, populate_existing=True)
    now = utc_now()
    if attempt is None or attempt.state not in repository.OPEN or attempt.lease_expires_at >= now:
        return False
    task = await tx.get(Task, attempt.task_id)
    assert task is not None
    attempt.state, attempt.finished_at = "lost", now
    attempt.reason = "the machine was not heard of until the lease ran out"
    _after_attempt(tx, task, attempt, now)
    await tx.flush()
    await place_queued(tx, machine, lease)
    await machines.bump(tx, machine_id)
    return True


async def machines_with_due_tasks(tx: AsyncSession, now: datetime) -> list[uuid.UUID]:
    """Machines with a queued task that may start: retries that are due, and whatever a crash left behind."""
    query = (
        select(Task.machine_id)
        .where(Task.state == "queued", func.coalesce(Task.not_before, now) <= now)
        .distinct()
    )
    return list(await tx.scalars(query))


def _set_state(tx: AsyncSession, task: Task, wanted: str, reason: str) -> None:
    """The one place where a task changes its state."""
    previous, task.state, task.reason = task.state, wanted, reason[:500]
    audit.record(
        tx,
        f"task.{wanted}",
        "task",
        task.id,
        customer_id=task.customer_id,
        detail={"from": previous, "to": wanted, "reason": task.reason, "attempt": task.attempt},
    )
    announce(tx, "tasks", task.id, [str(task.customer_id)])
    log.info("task changed state", task_id=str(task.id), previous=previous, state=wanted, reason=task.reason)
