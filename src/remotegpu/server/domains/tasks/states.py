"""The task's state machine: which transitions exist, and the one function that makes them."""

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.server.core.errors import ConflictError
from remotegpu.server.core.hub import announce
from remotegpu.server.domains.audit import service as audit
from remotegpu.server.domains.tasks.models import Task

TRANSITIONS: dict[str, frozenset[str]] = {
    "queued": frozenset({"assigned", "cancelled"}),
    "assigned": frozenset({"running", "queued", "succeeded", "failed", "timed_out", "stopped"}),
    "running": frozenset({"queued", "succeeded", "failed", "timed_out", "stopped"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "timed_out": frozenset(),
    "stopped": frozenset(),
    "cancelled": frozenset(),
}
"""``assigned`` may end at once: an agent reports only the latest state. Back to ``queued`` means another try."""

log = structlog.get_logger()


def check_transition(current: str, wanted: str) -> None:
    """Raise :class:`ConflictError` for a transition that does not exist."""
    if wanted not in TRANSITIONS[current]:
        possible = ", ".join(sorted(TRANSITIONS[current])) or "nothing, that is final"
        raise ConflictError(
            f"a task that is {current} cannot become {wanted}; from here it can become: {possible}",
            code="illegal_transition",
        )


def set_state(tx: AsyncSession, task: Task, wanted: str, reason: str) -> None:
    """The one place where a task changes its state."""
    check_transition(task.state, wanted)
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
