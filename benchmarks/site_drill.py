"""The drill of a 1 GiB database: how long its restore takes beside ``pg_restore -j2`` of the same dump alone.

Both in the backup container of a deployed site, with its limits, into the same kind of scratch cluster, in turn.
"""

import argparse
from pathlib import Path
from typing import Any

from harness import report
from site_world import ROOT, World, deployed, median

GOAL = 1.3
BARE = Path(ROOT / "benchmarks/site_bare_restore.py")


def measure(world: World, mebibytes: float, rounds: int) -> dict[str, object]:
    site = world.site
    site.fill("benchmark_rows", mebibytes)
    size = site.mebibytes()
    (dump,) = site.backups("run", "--kind", "database", "--why", "benchmark")["backups"]
    site.backups("run", "--kind", "base", "--why", "benchmark")
    drills: list[dict[str, Any]] = []
    bare: list[float] = []
    for number in range(rounds):
        steps = [
            lambda: drills.append(site.backups("drill")["drill"]),
            lambda: bare.append(pg_restore(world, dump["id"])),
        ]
        for step in steps if number % 2 == 0 else reversed(steps):
            step()
    restores = [float(drill["dump"]["restore_s"]) for drill in drills]
    ratio = round(median(restores) / median(bare), 3)
    return {
        "database_mib": size,
        "dump_mib": round(sum(file["size"] for file in dump["files"]) / 2**20, 1),
        "dump_s": dump["duration_s"],
        "drill_restore_s": median(restores),
        "each_drill_restore_s": restores,
        "pg_restore_s": median(bare),
        "each_pg_restore_s": [round(one, 2) for one in bare],
        "ratio": ratio,
        "drill_check_s": median([float(drill["dump"]["check_s"]) for drill in drills]),
        "moment_restore_s": median([float(drill["moment"]["restore_s"]) for drill in drills]),
        "passed": all(drill["passed"] for drill in drills),
        "met": ratio <= GOAL and size >= 1024,
    }


def pg_restore(world: World, backup: str) -> float:
    return float(world.site.run_in_backup(BARE, backup)["pg_restore_s"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=float, default=1040.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--release", default="", help="tag of images that are here; else they are built")
    options = parser.parse_args()
    with deployed(options.release) as running:
        figures = measure(running, options.mebibytes, options.rounds)
    report("site_drill", f"restores 1 GiB within {GOAL} x pg_restore -j2 of the same dump", **figures)
