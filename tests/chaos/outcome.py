"""How a task may have ended, given what it does and what was done to it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chaos import witness
from chaos.plans import Behaviour, TaskPlan

FINAL = frozenset({"succeeded", "failed", "timed_out", "stopped", "cancelled"})
ENDINGS: dict[Behaviour, frozenset[tuple[str, int | None]]] = {
    "succeeds": frozenset({("succeeded", 0)}),
    "leaves_processes": frozenset({("succeeded", 0)}),
    "writes_much": frozenset({("succeeded", 0)}),
    "outlasts_leases": frozenset({("succeeded", 0)}),
    "ignores_signals": frozenset({("succeeded", 0)}),
    "fails": frozenset({("failed", witness.FAILURE)}),
    "fails_first": frozenset({("succeeded", 0), ("failed", witness.FAILURE)}),
    "is_stopped": frozenset(),
    "runs_too_long": frozenset({("timed_out", -15), ("timed_out", 143), ("timed_out", -9)}),
}
"""State and exit code of an attempt to which nothing was done."""

BACK_S = 30.0
"""For a killed agent to be down, start again and be found missing."""

LOST_HOST = "its host process ended without a result"


@dataclass(frozen=True, kw_only=True)
class AttemptRow:
    """One row of the server's table. ``finished_at`` in epoch seconds."""

    attempt_id: str
    number: int
    state: str
    reason: str
    exit_code: int | None
    log_final: bool
    finished_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    task_id: str
    name: str
    machine: str
    state: str
    reason: str
    attempts: Sequence[AttemptRow]


def problems(task: TaskRow, plan: TaskPlan, *, stopped: bool, killed: frozenset[str]) -> list[str]:
    """What cannot be explained. ``stopped``: it was asked to stop. ``killed``: attempts whose host was killed."""
    found = [
        f"attempt {attempt.number} is {attempt.state} ({attempt.exit_code}, {attempt.reason!r})"
        for attempt in task.attempts
        if not _explained(attempt, plan, stopped=stopped, killed=killed)
    ]
    found += _history(task, plan, stopped=stopped)
    return [f"{task.name} {task.task_id} ({task.state}): {problem}" for problem in found]


def _explained(attempt: AttemptRow, plan: TaskPlan, *, stopped: bool, killed: frozenset[str]) -> bool:
    if (attempt.state, attempt.exit_code) in ENDINGS[plan.behaviour]:
        return plan.behaviour != "fails_first" or (attempt.number == 1) == (attempt.state == "failed")
    if attempt.state == "lost":
        return True
    if attempt.state == "stopped":
        return stopped
    return attempt.state == "failed" and attempt.attempt_id in killed and LOST_HOST in attempt.reason


def _history(task: TaskRow, plan: TaskPlan, *, stopped: bool) -> list[str]:
    """The attempts as a sequence, and the task's state as what follows from the last one."""
    found: list[str] = []
    states = [attempt.state for attempt in task.attempts]
    if task.state not in FINAL:
        return [f"is not final: {task.reason!r}, attempts {states}"]
    if [attempt.number for attempt in task.attempts] != list(range(1, len(states) + 1)):
        found.append(f"attempts are numbered {[attempt.number for attempt in task.attempts]}")
    if any(state not in {"failed", "timed_out", "lost"} for state in states[:-1]):
        found.append(f"was tried again after {states}")
    if len(states) > plan.max_retries + 1:
        found.append(f"was tried {len(states)} times with {plan.max_retries} retries")
    if task.state == "cancelled":
        return found if stopped else [*found, "was cancelled by nobody"]
    if not states:
        return [*found, "ended without an attempt"]
    if task.state != ("failed" if states[-1] == "lost" else states[-1]):
        found.append(f"does not follow from {states}")
    if task.state in {"failed", "timed_out"} and len(states) <= plan.max_retries and not stopped:
        found.append(f"gave up after {len(states)} attempts with {plan.max_retries} retries")
    return found


def lost_for_nothing(
    tasks: Sequence[TaskRow], kills: Mapping[str, Sequence[float]], lease_s: float
) -> list[str]:
    """Attempts that were given up although their agent was there. ``kills``: of each agent, epoch seconds.

    However long server and database were away: an agent that lives is asked before its attempts are given up.
    """
    window_s = lease_s + BACK_S
    return [
        f"{task.name} {task.task_id}: attempt {attempt.number} was lost, but {task.machine} had not been killed"
        for task in tasks
        for attempt in task.attempts
        if attempt.state == "lost"
        and not any(0 <= (attempt.finished_at or 0) - kill <= window_s for kill in kills[task.machine])
    ]
