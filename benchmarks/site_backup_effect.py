"""What the API's users notice of a backup: p99 with one on, beside p99 without, in turn.

The clients, the API, the database and the backup share the machine's cores. ``busy_percent`` says how much of them is
in use without a backup: near a full machine a queue grows with everything, and p99 tells of the queue.
"""

import argparse
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from harness import percentiles, report
from site_load import failed, within
from site_world import World, deployed, load, median

GOAL_PERCENT = 20
TOUCH = "UPDATE benchmark_rows SET actor = actor || '+' WHERE id % 20000 = 1"
"""A base backup after the week's first copies the files that have changed; here that is nearly all of them."""
BACKUPS = {"dump": "database", "base": "base"}


def measure(world: World, mebibytes: float, rounds: int, per_second: int, calm_s: float) -> dict[str, object]:
    site, account = world.site, world.administrator()
    site.fill("benchmark_rows", mebibytes)
    site.backups("run", "--kind", "base", "--why", "the first", "--wait", "600")

    def calm() -> None:
        time.sleep(calm_s)

    def back_up(kind: str) -> Callable[[], None]:
        def act() -> None:
            site.backups("run", "--kind", kind, "--why", "benchmark", "--wait", "600")

        return act

    busy: list[float] = []
    p99: dict[str, list[float]] = {"calm": [], **{name: [] for name in BACKUPS}}
    seconds: dict[str, list[float]] = {name: [] for name in BACKUPS}
    bad: Counter[str] = Counter()
    asked = 0
    for _ in range(rounds):
        phases: list[tuple[str, float, float]] = []
        site.psql(TOUCH)
        with load(site, account, per_second, "api") as running:
            time.sleep(2)  # connections are made
            for name, act in (("calm", calm), *((name, back_up(kind)) for name, kind in BACKUPS.items())):
                began, idle = time.monotonic(), idle_s()
                act()
                if name == "calm":
                    busy.append(busy_percent(idle_s() - idle, time.monotonic() - began))
                phases.append((name, began, time.monotonic()))
                time.sleep(2)  # what was begun under a backup is answered
            answers = running.stop()
        bad.update(f"{status} {path}" for _, _, status, path, _ in failed(answers))
        asked += len(answers)
        for name, began, ended in phases:
            took = [one[1] for one in within(answers, began, ended)]
            p99[name].append(percentiles(took)["p99_ms"])
            if name in seconds:
                seconds[name].append(round(ended - began, 1))
    medians = {name: median(found) for name, found in p99.items()}
    effect = {name: round(100 * (medians[name] / medians["calm"] - 1), 1) for name in BACKUPS}
    return {
        "database_mib": site.mebibytes(),
        "per_second": per_second,
        "busy_percent": median(busy),
        "requests": asked,
        "failed": bad.total(),
        "failures": dict(bad),
        "p99_ms": medians,
        "each_p99_ms": p99,
        "backup_s": {name: median(found) for name, found in seconds.items()},
        "effect_percent": effect,
        "met": max(effect.values()) <= GOAL_PERCENT and not bad,
    }


def idle_s() -> float:
    """Seconds that all cores together had nothing to do, since the machine began (proc_stat(5))."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=6)
    return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")


def busy_percent(idle: float, passed: float) -> float:
    return round(100 * (1 - idle / (passed * (os.cpu_count() or 1))), 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=float, default=800.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--per-second", type=int, default=40)
    parser.add_argument("--calm-seconds", type=float, default=20.0)
    parser.add_argument("--release", default="", help="tag of images that are here; else they are built")
    options = parser.parse_args()
    with deployed(options.release) as running_site:
        figures = measure(
            running_site, options.mebibytes, options.rounds, options.per_second, options.calm_seconds
        )
    report("site_backup_effect", f"a backup adds at most {GOAL_PERCENT} % to the API's p99", **figures)
