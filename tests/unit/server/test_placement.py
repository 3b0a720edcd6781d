"""Which queued tasks start on a machine."""

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from remotegpu.server.domains.tasks.placement import (
    FIRST_RETRY,
    LONGEST_RETRY,
    MIN_CONCURRENCY,
    Capacity,
    Waiting,
    capacity,
    place,
    retry_delay,
)

NOW = datetime(2026, 11, 24, 6, 30, tzinfo=UTC)


def waiting(gpus: int = 0, not_before: datetime | None = None) -> Waiting:
    return Waiting(task_id=uuid.uuid4(), gpus=gpus, not_before=not_before)


def test_capacity_counts_what_open_attempts_leave() -> None:
    room = capacity(4, 16, [[0, 2], [], [3]])
    assert room == Capacity(free_gpus=(1,), free_slots=13)


def test_small_machine_still_runs_some_tasks_at_once() -> None:
    assert capacity(0, 1, []).free_slots == MIN_CONCURRENCY


def test_task_that_waits_for_gpus_holds_back_later_ones_but_no_task_without_gpus() -> None:
    queue = [waiting(2), waiting(1), waiting(0)]
    first, second, third = place(queue, Capacity(free_gpus=(5,), free_slots=9), 8, NOW)
    assert first.gpu_indices is None
    assert first.reason == "waits for 2 free GPU(s), 1 free now"
    assert second.gpu_indices is None
    assert third.gpu_indices == []


def test_task_that_wants_more_gpus_than_there_are_does_not_hold_back_others() -> None:
    impossible, possible = place([waiting(9), waiting(1)], Capacity(free_gpus=(0, 1), free_slots=9), 2, NOW)
    assert impossible.reason == "wants 9 GPUs, the machine has 2"
    assert possible.gpu_indices == [0]


def test_back_off_holds_a_task_but_not_the_next() -> None:
    later, now = place(
        [waiting(not_before=NOW + timedelta(seconds=5)), waiting(not_before=NOW)],
        Capacity(free_gpus=(), free_slots=1),
        0,
        NOW,
    )
    assert later.reason == "retries at 06:30:05 UTC"
    assert now.gpu_indices == []


def test_back_off_doubles_up_to_its_limit() -> None:
    delays = [retry_delay(number) for number in range(1, 40)]
    assert delays[:4] == [FIRST_RETRY, FIRST_RETRY * 2, FIRST_RETRY * 4, FIRST_RETRY * 8]
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_RETRY


@given(
    gpu_count=st.integers(0, 8),
    threads=st.integers(1, 16),
    used=st.lists(st.integers(0, 7), unique=True, max_size=8),
    wanted=st.lists(st.integers(0, 10), max_size=20),
)
def test_no_gpu_is_given_twice_and_no_slot_beyond_the_last(
    gpu_count: int, threads: int, used: list[int], wanted: list[int]
) -> None:
    in_use = [[index] for index in used]
    room = capacity(gpu_count, threads, in_use)
    placements = place([waiting(gpus) for gpus in wanted], room, gpu_count, NOW)
    given_out = [index for choice in placements for index in choice.gpu_indices or []]
    started = [choice for choice in placements if choice.gpu_indices is not None]
    assert len(placements) == len(wanted)
    assert len(given_out) == len(set(given_out))
    assert set(given_out) <= set(range(gpu_count)) - set(used)
    assert len(started) <= max(0, room.free_slots)
    assert all(choice.reason for choice in placements if choice.gpu_indices is None)
    for gpus, choice in zip(wanted, placements, strict=True):
        assert choice.gpu_indices is None or len(choice.gpu_indices) == gpus
