"""How much work would be lost at worst if the database's disk died: measured while somebody writes all the time.

``remotegpu backups wal-status`` is asked again and again, as ``site status`` asks it. Its figure grows from one
archived segment to the next, so its true maximum is the longest time between two of them, which is shown too.
"""

import argparse
import itertools
import subprocess
import time
from datetime import datetime
from typing import Any

from harness import report
from site_world import BenchmarkSite, deployed, median

GOAL_S = 60
WRITES = """
CREATE TABLE IF NOT EXISTS benchmark_writes (at timestamptz DEFAULT clock_timestamp(), filler text);
INSERT INTO benchmark_writes (filler)
  SELECT repeat(md5(random()::text), 8) FROM generate_series(1, {rows}) \\watch interval=0.2
"""


def write(site: BenchmarkSite, rows: int) -> subprocess.Popen[str]:
    """Five transactions a second, until its input ends."""
    file = site.directory / "docker-compose.prod.yml"
    psql = ("psql", "-X", "-q", "-U", "postgres", "-d", "remotegpu")
    argv = ["docker", "compose", f"--file={file}", "exec", "--no-TTY", "postgresql", *psql]
    writer = subprocess.Popen(
        argv, env=site.environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert writer.stdin
    writer.stdin.write(WRITES.format(rows=rows))
    writer.stdin.flush()
    return writer


def watch(site: BenchmarkSite, seconds: float, every_s: float) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found.append(site.backups("wal-status"))
        time.sleep(every_s)
    return found


def under(site: BenchmarkSite, rows: int, seconds: float) -> dict[str, object]:
    """With a writer of ``rows`` rows in each transaction."""
    writer = write(site, rows)
    try:
        found = watch(site, seconds, 1.0)
    finally:
        stop(site, writer)
    lags = [float(one["lag_s"]) for one in found]
    archived = sorted(
        {datetime.fromisoformat(one["last_archived_at"]) for one in found if one["last_archived_at"]}
    )
    gaps = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(archived)]
    return {
        "max_lag_s": max(lags),
        "median_lag_s": median(lags),
        "asked": len(lags),
        "longest_between_two_segments_s": round(max(gaps), 3) if gaps else None,
        "segments_archived": int(found[-1]["archived"]) - int(found[0]["archived"]),
        "most_waiting": max(int(one["waiting"]) for one in found),
        "failed": int(found[-1]["failed"]) - int(found[0]["failed"]),
    }


def stop(site: BenchmarkSite, writer: subprocess.Popen[str]) -> None:
    """``docker exec`` forwards no signal: the server ends the session."""
    site.psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO benchmark_writes%'"
    )
    writer.kill()
    writer.wait()


def measure(site: BenchmarkSite, seconds: float) -> dict[str, object]:
    few = under(site, 1, seconds)
    many = under(site, 4000, min(60.0, seconds))
    worst = max(
        float(str(few["max_lag_s"])),
        float(str(few["longest_between_two_segments_s"] or 0)),
        float(str(many["max_lag_s"])),
    )
    return {"few_writes": few, "many_writes": many, "worst_s": worst, "met": worst <= GOAL_S}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--images-present", action="store_true", help="do not build them anew")
    options = parser.parse_args()
    with deployed(build=not options.images_present) as running:
        figures = measure(running.site, options.seconds)
    report("site_rpo", f"at most {GOAL_S} s of writes are not archived", **figures)
