"""Attempts: what agents report of them, renewing and losing their leases, and the task's fate once one has ended."""

import uuid
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.kit.ids import uuid7
from remotegpu.protocol.attempts import AttemptReport
from remotegpu.server.core.hub import announce
from remotegpu.server.domains.machines import repository as machine_rows
from remotegpu.server.domains.machines import service as machines
from remotegpu.server.domains.machines.models import Machine
from remotegpu.server.domains.tasks import artifacts, placement, repository, scheduling, states
from remotegpu.server.domains.tasks.models import Artifact, Attempt, Task

RETRIED = frozenset({"failed", "timed_out", "lost"})


async def report(tx: AsyncSession, machine_id: uuid.UUID, told: AttemptReport, lease: timedelta) -> bool:
    """Apply one report of an agent. Idempotent. False: refused, the attempt is not this machine's to run any more."""
    machine = await machine_rows.lock(tx, machine_id)
    attempt, task = await _find(tx, machine_id, told.attempt_id)
    if attempt is None or task is None or attempt.state == "lost":
        return False
    if attempt.state not in repository.OPEN:
        return told.state in {attempt.state, "running"}  # "running" is a report that was overtaken on its way
    now = utc_now()
    attempt.lease_expires_at = now + lease
    if told.state == "running":
        _begin(tx, task, attempt, told.started_at, now)
        return True
    _close(tx, attempt, told, now)
    task.started_at = attempt.started_at
    await _conclude(tx, machine, task, attempt, lease)
    return True


def _begin(tx: AsyncSession, task: Task, attempt: Attempt, told: float | None, now: datetime) -> None:
    if attempt.state != "assigned":
        return
    attempt.state, attempt.started_at = "running", bounded(told, attempt.assigned_at, now)
    task.started_at = attempt.started_at
    states.set_state(tx, task, "running", task.reason if attempt.stop_requested else "")


def _close(tx: AsyncSession, attempt: Attempt, told: AttemptReport, now: datetime) -> None:
    reason = told.reason.replace("\x00", "\ufffd")
    listed = artifacts.acceptable(told.artifacts)
    if left_out := len(told.artifacts) - len(listed):
        reason = f"{reason}; {left_out} artifact(s) left out: their names or sizes cannot be stored".strip(
            "; "
        )
    attempt.state, attempt.reason, attempt.exit_code = told.state, reason[:500], told.exit_code
    started_at = attempt.started_at or bounded(told.started_at, attempt.assigned_at, now)
    attempt.started_at, attempt.finished_at = started_at, bounded(told.finished_at, started_at, now)
    attempt.log_truncated = told.log_truncated
    for file in listed:
        tx.add(
            Artifact(
                id=uuid7(),
                task_id=attempt.task_id,
                attempt_id=attempt.id,
                path=file.path,
                size_bytes=file.size_bytes,
                sha256=file.sha256,
                object_key=artifacts.object_key(attempt.task_id, attempt.id, file),
                created_at=now,
            )
        )


async def _conclude(
    tx: AsyncSession, machine: Machine, task: Task, attempt: Attempt, lease: timedelta
) -> None:
    """An attempt has ended: settle its task, use the room it leaves, tell the agent and who reads the log."""
    now = utc_now()
    task.exit_code = attempt.exit_code
    may_retry = attempt.state in RETRIED and not attempt.stop_requested
    if may_retry and task.attempt <= task.max_retries:
        _queue_again(tx, task, attempt, now)
    else:
        task.finished_at = attempt.finished_at or now
        final = "failed" if attempt.state == "lost" else attempt.state
        asked = task.reason.removeprefix(repository.STOPPING) if final == "stopped" else ""
        states.set_state(tx, task, final, attempt.reason or asked)
    await tx.flush()
    await scheduling.place_queued(tx, machine, lease)
    await machines.bump(tx, machine.id)
    announce(tx, "log", attempt.id)


def _queue_again(tx: AsyncSession, task: Task, attempt: Attempt, now: datetime) -> None:
    task.not_before = now + placement.retry_delay(task.attempt)
    task.queued_at = now
    why = attempt.reason or attempt.state
    states.set_state(
        tx,
        task,
        "queued",
        f"attempt {task.attempt} {attempt.state} ({why}); retries at {task.not_before:%H:%M:%S} UTC",
    )


def bounded(told: float | None, earliest: datetime, latest: datetime) -> datetime:
    """The agent's clock may be wrong: keep what it says between what the server knows."""
    if told is None:
        return latest
    try:
        moment = datetime.fromtimestamp(told, tz=latest.tzinfo)
    except (ValueError, OverflowError, OSError):
        return latest
    return min(max(moment, earliest), latest)


_FIND = (
    select(Attempt, Task)
    .join(Task, Task.id == Attempt.task_id)
    .where(Attempt.id == bindparam("attempt_id"), Attempt.machine_id == bindparam("on_machine"))
)


async def _find(
    tx: AsyncSession, machine_id: uuid.UUID, attempt_id: str
) -> tuple[Attempt, Task] | tuple[None, None]:
    try:
        wanted = {"attempt_id": uuid.UUID(attempt_id), "on_machine": machine_id}
    except ValueError:
        return None, None
    row = (await tx.execute(_FIND, wanted)).first()
    return (row[0], row[1]) if row else (None, None)


async def _task_of(tx: AsyncSession, attempt: Attempt) -> Task:
    task = await tx.get(Task, attempt.task_id)
    assert task is not None, "a foreign key keeps it"
    return task


async def renew(tx: AsyncSession, attempt_ids: list[uuid.UUID], lease: timedelta) -> set[uuid.UUID]:
    """Renew the leases of attempts whose agent has just been heard of, in one statement.

    Rows that somebody else has locked are left to the next time. Returns those that have ended meanwhile.
    """
    free = (
        select(Attempt.id)
        .where(Attempt.id.in_(attempt_ids), Attempt.state.in_(repository.OPEN))
        .order_by(Attempt.id)
        .with_for_update(skip_locked=True)
    )
    await tx.execute(
        update(Attempt)
        .where(Attempt.id.in_(free.scalar_subquery()))
        .values(lease_expires_at=utc_now() + lease)
        .execution_options(synchronize_session=False)
    )
    ended = select(Attempt.id).where(Attempt.id.in_(attempt_ids), Attempt.state.not_in(repository.OPEN))
    return set(await tx.scalars(ended))


async def expired(tx: AsyncSession, now: datetime) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """(attempt, machine) of attempts whose lease ran out."""
    query = select(Attempt.id, Attempt.machine_id).where(
        Attempt.state.in_(repository.OPEN), Attempt.lease_expires_at < now
    )
    return [(attempt_id, machine_id) for attempt_id, machine_id in (await tx.execute(query)).all()]


async def lost_with_open_logs(tx: AsyncSession) -> set[uuid.UUID]:
    """Lost attempts whose logs nobody has closed yet. Reads the whole table."""
    query = select(Attempt.id).where(Attempt.state == "lost", Attempt.log_final.is_(False))
    return set(await tx.scalars(query))


async def lose(tx: AsyncSession, attempt_id: uuid.UUID, machine_id: uuid.UUID, lease: timedelta) -> bool:
    """An attempt whose lease ran out is lost: another try, or failed. Its own late report will be refused."""
    machine = await machine_rows.lock(tx, machine_id)
    attempt = await tx.get(Attempt, attempt_id, with_for_update=True, populate_existing=True)
    now = utc_now()
    if attempt is None or attempt.state not in repository.OPEN or attempt.lease_expires_at >= now:
        return False
    never_began = attempt.state == "assigned"
    attempt.state, attempt.finished_at = "lost", now
    attempt.reason = (
        "the agent did not begin it before its lease ran out"
        if never_began
        else "the agent did not report it until its lease ran out"
    )
    await _conclude(tx, machine, await _task_of(tx, attempt), attempt, lease)
    return True
