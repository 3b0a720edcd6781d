"""Which queued tasks may start on a machine now, pure."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

NO_SLOT = "waits for another task to end"
MIN_CONCURRENCY = 4
"""Even a small machine runs this many tasks at once."""
FIRST_RETRY = timedelta(seconds=2)
LONGEST_RETRY = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """``free_gpus``: indices nobody uses. ``free_slots``: tasks that may still start."""

    free_gpus: tuple[int, ...]
    free_slots: int


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """``reason``: why it waited until now."""

    task_id: uuid.UUID
    gpus: int
    not_before: datetime | None
    reason: str = ""


@dataclass(frozen=True)
class Placement:
    """Either ``gpu_indices`` (starts now) or why it waits. ``previous_reason``: what was said of it until now."""

    task_id: uuid.UUID
    gpu_indices: list[int] | None
    reason: str = ""
    previous_reason: str = ""


def capacity(gpu_count: int, cpu_threads: int, in_use: list[list[int]]) -> Capacity:
    """What is left on a machine whose open attempts use these GPUs."""
    used = {index for indices in in_use for index in indices}
    return Capacity(
        free_gpus=tuple(index for index in range(gpu_count) if index not in used),
        free_slots=max(MIN_CONCURRENCY, cpu_threads) - len(in_use),
    )


def place(queue: list[Waiting], capacity_now: Capacity, gpu_count: int, now: datetime) -> list[Placement]:
    """Walk the queue in order (already sorted by priority). A task that waits for GPUs holds back later GPU tasks."""
    free, slots, blocked = list(capacity_now.free_gpus), capacity_now.free_slots, False
    placements: list[Placement] = []
    for task in queue:
        reason = ""
        if task.not_before is not None and task.not_before > now:
            reason = f"retries at {task.not_before:%H:%M:%S} UTC"
        elif slots <= 0:
            reason = NO_SLOT
        elif task.gpus > gpu_count:
            reason = f"wants {task.gpus} GPUs, the machine has {gpu_count}"
        elif task.gpus and (blocked or len(free) < task.gpus):
            reason, blocked = f"waits for {task.gpus} free GPU(s), {len(free)} free now", True
        if reason:
            placements.append(Placement(task.task_id, None, reason, task.reason))
            continue
        taken, free = free[: task.gpus], free[task.gpus :]
        slots -= 1
        placements.append(Placement(task.task_id, taken))
    return placements


def retry_delay(attempt: int) -> timedelta:
    """Back-off before attempt ``attempt + 1``: 2 s, 4 s, 8 s … at most 10 minutes."""
    return min(FIRST_RETRY * 2 ** min(attempt - 1, 12), LONGEST_RETRY)
