"""How long a new release takes to come into service with its images present, and where that time goes.

Beside it, in the same run: ``docker compose up --detach --wait`` of the same two containers alone, which nobody can do
without.
"""

import argparse
import time
from dataclasses import dataclass

from harness import report
from remotegpu.kit.clock import utc_now
from remotegpu.site.journal import Journal, Run
from site_world import World, deployed, median

GOAL_S = 40


@dataclass(frozen=True)
class Deployment:
    """``steps``: seconds of each, by the journal; ``before`` the first and ``after`` the last is the rest."""

    seconds: float
    steps: dict[str, float]


def deploy(world: World, patch: int) -> Deployment:
    """A release with images of its own."""
    version = world.variants.same(world.site.version(patch))
    began, start = utc_now(), time.monotonic()
    world.site.do("deploy", version, "--why=benchmark")
    seconds = time.monotonic() - start
    run = Journal(world.site.directory).runs()[-1]
    assert version in run.run, run
    steps = step_seconds(run)
    before = (run.entries[0].at - began).total_seconds()
    after = seconds - (run.entries[-1].at - began).total_seconds()
    return Deployment(seconds, {"before": before, **steps, "after": after})


def step_seconds(run: Run) -> dict[str, float]:
    """Between the journal's two words on each step."""
    begun = {entry.step: entry.at for entry in run.entries if entry.state == "begun"}
    return {
        entry.step: (entry.at - begun[entry.step]).total_seconds()
        for entry in run.entries
        if entry.state == "done" and entry.step in begun
    }


def bare_start(world: World) -> float:
    """The two containers of the slot that does not serve, from nothing."""
    site = world.site
    slot = "green" if site.serving()["slot"] == "blue" else "blue"
    services = (f"backend-{slot}", f"frontend-{slot}")
    site.compose("rm", "--stop", "--force", *services)
    start = time.monotonic()
    site.compose("up", "--detach", "--no-deps", "--wait", *services)
    return time.monotonic() - start


def measure(world: World, rounds: int) -> dict[str, object]:
    found: list[Deployment] = []
    bare: list[float] = []
    for number in range(1, rounds + 1):
        found.append(deploy(world, number))
        bare.append(bare_start(world))
    seconds = median([one.seconds for one in found])
    steps = {name: median([one.steps.get(name, 0.0) for one in found]) for name in found[-1].steps}
    return {
        "deploy_s": seconds,
        "each_deploy_s": [round(one.seconds, 1) for one in found],
        "compose_up_of_the_same_two_s": median(bare),
        "each_compose_up_s": [round(one, 1) for one in bare],
        "ratio": round(seconds / median(bare), 2),
        "steps_s": steps,
        "share_percent": {name: round(100 * took / seconds, 1) for name, took in steps.items()},
        "met": seconds <= GOAL_S,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--release", default="", help="tag of images that are here; else they are built")
    options = parser.parse_args()
    with deployed(options.release) as running:
        figures = measure(running, options.rounds)
    report("site_deploy", f"at most {GOAL_S} s with images present, watched for 10 s", **figures)
