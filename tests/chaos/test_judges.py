"""The judges of a chaos run must be able to say no."""

import asyncio
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from chaos import keeper, outcome, plans, witness
from chaos.outcome import AttemptRow, TaskRow
from chaos.plans import SHORT, TaskPlan
from chaos.witness import Testimony

NOBODY: frozenset[str] = frozenset()


def plan_of(behaviour: plans.Behaviour, **changes: object) -> TaskPlan:
    made = plans.task_plan(random.Random(1), 1, SHORT)
    return replace(made, behaviour=behaviour, seconds=0.1, lines=3, gpus=0, **changes)


def attempt(number: int, state: str, exit_code: int | None = None, reason: str = "") -> AttemptRow:
    return AttemptRow(
        attempt_id=f"attempt-{number}",
        number=number,
        state=state,
        reason=reason,
        exit_code=exit_code,
        log_final=True,
    )


def judged(
    plan: TaskPlan,
    state: str,
    *attempts: AttemptRow,
    stopped: bool = False,
    killed: frozenset[str] = NOBODY,
) -> list[str]:
    task = TaskRow(
        task_id="task", name=plan.name, machine="agent-1", state=state, reason="", attempts=attempts
    )
    return outcome.problems(task, plan, stopped=stopped, killed=killed)


def test_the_same_seed_makes_the_same_run_and_another_one_another() -> None:
    assert plans.make(7, SHORT) == plans.make(7, SHORT)
    assert plans.make(7, SHORT).kills != plans.make(8, SHORT).kills
    assert plans.make(7, SHORT).tasks != plans.make(8, SHORT).tasks


@pytest.mark.parametrize("seed", range(20))
def test_every_run_kills_every_part_and_keeps_an_agent_away_beyond_its_lease(seed: int) -> None:
    run = plans.make(seed, SHORT)
    assert {kill.target for kill in run.kills} >= {"server", "worker", "postgres", "valkey"}
    assert any(kill.down_s > SHORT.lease_s for kill in run.kills if kill.target in plans.AGENTS)
    assert all(0 <= each.at <= SHORT.seconds + 1 for each in [*run.kills, *run.tasks])


def test_the_environment_chooses_form_seed_and_length() -> None:
    long = plans.from_environment({"REMOTEGPU_CHAOS": "long", "REMOTEGPU_CHAOS_SEED": "5"})
    assert (long.seed, len(long.tasks), long.scale.seconds) == (5, 200, 120)
    short = plans.from_environment({"REMOTEGPU_CHAOS_SEED": "", "REMOTEGPU_CHAOS_SECONDS": "7"})
    assert (len(short.tasks), short.scale.seconds) == (40, 7)


def test_what_follows_from_the_plan_is_accepted() -> None:
    assert judged(plan_of("succeeds"), "succeeded", attempt(1, "succeeded", 0)) == []
    assert judged(plan_of("fails", max_retries=0), "failed", attempt(1, "failed", 3)) == []
    again = plan_of("fails_first", max_retries=1)
    assert judged(again, "succeeded", attempt(1, "failed", 3), attempt(2, "succeeded", 0)) == []
    assert judged(again, "succeeded", attempt(1, "lost"), attempt(2, "succeeded", 0)) == []
    assert judged(plan_of("is_stopped"), "stopped", attempt(1, "stopped", -15), stopped=True) == []
    lost = plan_of("succeeds", max_retries=0)
    assert judged(lost, "failed", attempt(1, "lost")) == []
    dead = attempt(1, "failed", None, outcome.LOST_HOST)
    assert judged(lost, "failed", dead, killed=frozenset({"attempt-1"})) == []


@pytest.mark.parametrize(
    ("behaviour", "retries", "state", "attempts"),
    [
        ("succeeds", 0, "running", [attempt(1, "running")]),
        ("succeeds", 0, "failed", [attempt(1, "failed", 1)]),
        ("succeeds", 0, "failed", [attempt(1, "failed", None, outcome.LOST_HOST)]),
        ("succeeds", 3, "failed", [attempt(1, "lost")]),
        ("succeeds", 0, "succeeded", [attempt(1, "lost"), attempt(2, "succeeded", 0)]),
        ("succeeds", 2, "succeeded", [attempt(1, "lost"), attempt(3, "succeeded", 0)]),
        ("succeeds", 2, "succeeded", [attempt(1, "succeeded", 0), attempt(2, "succeeded", 0)]),
        ("succeeds", 2, "stopped", [attempt(1, "stopped", -15)]),
        ("succeeds", 2, "cancelled", []),
        ("succeeds", 2, "failed", []),
        ("fails", 0, "succeeded", [attempt(1, "succeeded", 0)]),
        ("fails_first", 2, "succeeded", [attempt(1, "succeeded", 0)]),
        ("fails_first", 2, "failed", [attempt(1, "failed", 3), attempt(2, "failed", 3)]),
    ],
)
def test_what_does_not_follow_is_named(
    behaviour: plans.Behaviour, retries: int, state: str, attempts: list[AttemptRow]
) -> None:
    assert judged(plan_of(behaviour, max_retries=retries), state, *attempts) != []


def test_an_attempt_lost_while_its_agent_lived_is_named() -> None:
    lost = replace(attempt(1, "lost"), finished_at=1000.0)
    task = TaskRow(task_id="task", name="name", machine="agent-1", state="failed", reason="", attempts=[lost])
    assert outcome.lost_for_nothing([task], {"agent-1": [980.0]}, 10) == []
    assert len(outcome.lost_for_nothing([task], {"agent-1": [900.0, 1001.0]}, 10)) == 1


def test_contradictions_in_the_testimony_are_found() -> None:
    start, end = Testimony("start", "task", "a", 1.0), Testimony("end", "task", "a", 2.0)
    assert witness.contradictions([start, end]) == []
    assert len(witness.contradictions([start, start])) == 1
    assert len(witness.contradictions([end])) == 1
    assert len(witness.contradictions([start, replace(start, word="overlap", attempt_id="b")])) == 1
    assert len(witness.contradictions([start, replace(start, word="gpu_overlap", task_id="other")])) == 1


@pytest.mark.parametrize("kind", ["shell", "python"])
async def test_attempts_at_the_same_time_testify_against_each_other(kind: str, tmp_path: Path) -> None:
    plan = replace(plan_of("succeeds", kind=kind), seconds=2.0)
    first = await begin(plan, "one", tmp_path)
    await until_started(tmp_path, 1)
    second = await begin(plan, "two", tmp_path)
    logs = [await each.communicate() for each in (first, second)]
    assert logs[0][0] == witness.expected_log(plan, "one")
    assert (tmp_path / "result.txt").read_bytes() == witness.expected_result(plan, "task")
    words = [(line.word, line.attempt_id) for line in witness.read(tmp_path)]
    assert ("overlap", "two") in words
    assert ("gpu_overlap", "two") in words
    assert ("overlap", "one") not in words


@pytest.mark.parametrize("kind", ["shell", "python"])
async def test_what_an_attempt_leaves_behind_testifies_against_it(kind: str, tmp_path: Path) -> None:
    plan = plan_of("leaves_processes", kind=kind)
    first = await begin(plan, "one", tmp_path, quiet=True)
    await first.wait()
    second = await begin(plan, "two", tmp_path, quiet=True)
    await second.wait()
    try:
        assert ("overlap", "two") in [(line.word, line.attempt_id) for line in witness.read(tmp_path)]
    finally:
        assert keeper.strays(tmp_path) != []
        keeper.kill_strays(tmp_path)
    assert [line for line in witness.contradictions(witness.read(tmp_path)) if "still lives" in line] != []


async def begin(
    plan: TaskPlan, attempt_id: str, place: Path, *, quiet: bool = False
) -> asyncio.subprocess.Process:
    interpreter = ["/bin/bash", "-c"] if plan.kind == "shell" else [sys.executable, "-c"]
    environment = {
        "PATH": os.environ["PATH"],
        witness.MARK: str(place),
        "REMOTEGPU_TASK_ID": "task",
        "REMOTEGPU_ATTEMPT_ID": attempt_id,
        "REMOTEGPU_ATTEMPT": "1",
        "REMOTEGPU_OUTPUT_DIR": str(place),
        "CUDA_VISIBLE_DEVICES": "0,1",
    }
    output = subprocess.DEVNULL if quiet else subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *interpreter, witness.command(plan), env=environment, stdout=output
    )


async def until_started(place: Path, count: int) -> None:
    for _ in range(500):
        if sum(line.word == "start" for line in witness.read(place)) >= count:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("nothing started")
