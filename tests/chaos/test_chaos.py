"""Everything is killed, again and again, while customers work: nothing is lost, and nothing runs twice at once.

``make test`` runs the short form, ``make chaos`` the long one. ``REMOTEGPU_CHAOS_SEED`` repeats a run's plan,
``REMOTEGPU_CHAOS_SECONDS`` changes how long things are killed. The logs of a failed run are kept under ``build/chaos``.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos import checks, outcome, plans, site
from chaos.clock import RunClock
from chaos.outcome import TaskRow
from chaos.plans import Run
from chaos.site import Platform
from chaos.submitting import Submissions
from server_client import http_session

KEPT = Path(__file__).parents[2] / "build" / "chaos"
LOOK_AGAIN_S, AFTERWARDS_LOOKS = 0.5, 60
MOST_SHOWN = 20
"""Of the same request's refusals: it is repeated."""
ANSWERING = ("postgres", "valkey", "s3", "server")
PATIENCE_S = 20.0


@pytest.fixture
def directory(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Durable for as long as the test lasts, on a path that PostgreSQL's own account may pass."""
    place = Path(tempfile.mkdtemp(prefix="remotegpu-chaos-")).resolve()
    place.chmod(0o711)
    failures = request.session.testsfailed
    yield place
    if request.session.testsfailed > failures:
        kept = KEPT / place.name
        for part in ("logs", "witness"):
            shutil.copytree(place / part, kept / part, dirs_exist_ok=True)
        sys.stdout.write(f"chaos: logs are in {kept}\n")
    shutil.rmtree(place, ignore_errors=True)


@pytest.mark.timeout(900)
async def test_nothing_is_lost_and_nothing_runs_twice_while_everything_is_killed(directory: Path) -> None:
    run = plans.from_environment(os.environ)
    say(f"seed {run.seed}: {len(run.tasks)} tasks, {len(run.kills)} kills in {run.scale.seconds:g} s")
    async with http_session() as http, site.running(directory, run.scale, http) as platform:
        clock = RunClock()
        told = Submissions(platform, clock)
        submitting = asyncio.create_task(told.all(run))
        try:
            await unleash(run, platform, clock)
            say(f"all up again; {len(told.acknowledged)} of {len(run.tasks)} submissions acknowledged")
            found = await settled(run, platform, submitting)
        finally:
            submitting.cancel()
            await asyncio.gather(submitting, return_exceptions=True)
        problems = await everything_wrong(run, found, platform, told)
        summary(found, platform, told)
    assert not problems, report(run, platform, problems)


async def unleash(run: Run, platform: Platform, clock: RunClock) -> None:
    """All kills at their times, then everything up again."""
    keeper = platform.keeper
    for kill in run.kills:
        await clock.until(kill.at)
        if kill.patient:
            clock.pause()
            await keeper.until_answering(ANSWERING, PATIENCE_S)
            await asyncio.sleep(kill.calm_s)
            clock.resume()
        keeper.kill(kill)
    await clock.until(run.scale.seconds)
    await keeper.until_ready(list(keeper.kept))


async def settled(run: Run, platform: Platform, submitting: "asyncio.Task[None]") -> list[TaskRow]:
    """The tasks once all are final, or as they are when that takes too long."""
    began = time.monotonic()
    deadline = began + run.scale.settle_s
    done, _ = await asyncio.wait([submitting], timeout=run.scale.settle_s)
    if done:
        submitting.result()
    while True:
        found = await asyncio.to_thread(checks.rows, platform)
        if all(task.state in outcome.FINAL for task in found) or time.monotonic() > deadline:
            say(f"settled {time.monotonic() - began:.1f} s later")
            return found
        await asyncio.sleep(LOOK_AGAIN_S)


async def everything_wrong(
    run: Run, found: list[TaskRow], platform: Platform, told: Submissions
) -> list[str]:
    """One line for each thing that must not be."""
    killed = frozenset(platform.keeper.killed_attempts)
    return [
        *told.defects[:MOST_SHOWN],
        *platform.keeper.unexpected,
        *checks.submissions(run, found, told),
        *checks.outcomes(found, told, killed),
        *checks.losses(found, platform, run.scale.lease_s),
        *checks.testimonies(found, platform),
        *await checks.growth(platform),
        *await checks.outputs(found, told, platform),
        *await checks.machines(platform),
        *await checks.audit(found, platform),
        *await still_works(platform, told),
        *checks.logs(platform),
    ]


async def still_works(platform: Platform, told: Submissions) -> list[str]:
    """One more task for each machine, without any trouble."""
    more = [plans.after_all(number) for number in range(len(platform.machine_ids))]
    ids = [await told.submit(plan) for plan in more]
    states: list[str] = []
    for _ in range(AFTERWARDS_LOOKS):
        states = [(await platform.member.get(f"/tasks/{task_id}"))["state"] for task_id in ids]
        if states == ["succeeded"] * len(ids):
            return []
        await asyncio.sleep(LOOK_AGAIN_S)
    return [f"tasks submitted after everything was up again are {states}"]


def summary(found: list[TaskRow], platform: Platform, told: Submissions) -> None:
    starts = {name: kept.starts for name, kept in platform.keeper.kept.items()}
    attempts = Counter(attempt.state for task in found for attempt in task.attempts)
    say(f"started {starts}; {told.repeats} requests were repeated")
    say(f"tasks {dict(Counter(task.state for task in found))}; attempts {dict(attempts)}")


def report(run: Run, platform: Platform, problems: list[str]) -> str:
    story = "\n".join(platform.keeper.story)
    wrong = "\n".join(f"- {problem}" for problem in problems)
    again = f"REMOTEGPU_CHAOS_SEED={run.seed} REMOTEGPU_CHAOS_SECONDS={run.scale.seconds:g}"
    return f"{len(problems)} problems (repeat with {again}):\n{wrong}\nWhat was killed:\n{story}"


def say(text: str) -> None:
    sys.stdout.write(f"chaos: {text}\n")
    sys.stdout.flush()
