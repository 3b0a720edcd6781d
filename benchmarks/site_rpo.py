"""How much work would be lost at worst if the database's disk died: measured while somebody writes all the time.

Each row says when it was written and into which WAL segment. Until a segment is archived all of its rows would be lost,
so the worst is the longest time from the first row of a segment to the moment when that segment had been archived.
``remotegpu backups wal-status`` is asked for that again and again; its own figure, which ``site status`` and the
metrics show, stands beside it.
"""

import argparse
import subprocess
import time
from datetime import datetime
from typing import Any

from harness import report
from site_world import BenchmarkSite, deployed

GOAL_S = 60
TABLE = """
CREATE TABLE IF NOT EXISTS benchmark_writes (at timestamptz DEFAULT clock_timestamp(), wal text, filler text);
TRUNCATE benchmark_writes;
"""
WRITE = """
INSERT INTO benchmark_writes (wal, filler)
  SELECT pg_walfile_name(pg_current_wal_insert_lsn()), repeat(md5(random()::text), 8) FROM generate_series(1, {rows})
\\watch interval=0.2
"""
FIRST_WRITES = "SELECT wal || ' ' || extract(epoch FROM min(at)) FROM benchmark_writes GROUP BY wal"


def write(site: BenchmarkSite, rows: int) -> subprocess.Popen[str]:
    """Five transactions a second, until its input ends."""
    file = site.directory / "docker-compose.prod.yml"
    psql = ("psql", "-X", "-q", "-U", "postgres", "-d", "remotegpu")
    argv = ["docker", "compose", f"--file={file}", "exec", "--no-TTY", "postgresql", *psql]
    writer = subprocess.Popen(
        argv, env=site.environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert writer.stdin
    writer.stdin.write(WRITE.format(rows=rows))
    writer.stdin.flush()
    return writer


def watch(site: BenchmarkSite, seconds: float, every_s: float) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found.append(site.backups("wal-status"))
        time.sleep(every_s)
    return found


def under(site: BenchmarkSite, rows: int, seconds: float) -> dict[str, Any]:
    """With a writer of ``rows`` rows in each transaction."""
    site.psql(TABLE)
    writer = write(site, rows)
    try:
        found = watch(site, seconds, 1.0)
    finally:
        stop(site, writer)
    lost = seconds_to_lose(first_writes(site), found)
    lags = [float(one["lag_s"]) for one in found]
    return {
        "worst_s": round(max(lost), 3),
        "segments": len(lost),
        "wal_status_max_s": max(lags),
        "asked": len(lags),
        "most_waiting": max(int(one["waiting"]) for one in found),
        "failed": int(found[-1]["failed"]) - int(found[0]["failed"]),
    }


def first_writes(site: BenchmarkSite) -> dict[str, float]:
    """When the first row went into each segment, by its name."""
    lines = [line.split() for line in site.psql(FIRST_WRITES).splitlines()]
    return {wal: float(at) for wal, at in lines}


def seconds_to_lose(first: dict[str, float], found: list[dict[str, Any]]) -> list[float]:
    """Of each segment that was seen when it was the last one archived, the one that writing began in included."""
    archived = {
        str(one["last_archived_wal"]): datetime.fromisoformat(one["last_archived_at"]).timestamp()
        for one in found
        if one["last_archived_at"]
    }
    return [archived[wal] - at for wal, at in first.items() if wal in archived]


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
    worst = max(few["worst_s"], many["worst_s"])
    return {"few_writes": few, "many_writes": many, "worst_s": worst, "met": worst <= GOAL_S}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--release", default="", help="tag of images that are here; else they are built")
    options = parser.parse_args()
    with deployed(options.release) as running:
        figures = measure(running.site, options.seconds)
    report("site_rpo", f"at most {GOAL_S} s of writes are not archived", **figures)
