"""A signed-in list of 100 out of 10,000 machines, filtered and sorted, beside dstack and GPUStack with empty lists."""

import argparse
import time

import aiohttp
import uvloop

import rivals
from harness import Site, add_machines, admin, percentiles, report, site

MACHINES = 10_000
QUERY = "page=3&page_size=100&state=online&region=region-2&sort=-last_seen_at"
OTHERS = [
    f"page={page}&page_size=100&state=online&region=region-{region}&sort={sort}"
    for sort in ("name", "-last_seen_at")
    for region in range(5)
    for page in range(1, 20)
]
"""Pages that nobody has asked for before: nothing of their answers is known."""


async def latencies(
    http: aiohttp.ClientSession, method: str, url: str, seconds: float, **request: object
) -> list[float]:
    """One client, one request after the other, at least one."""
    waits: list[float] = []
    end = time.perf_counter() + seconds
    while not waits or time.perf_counter() < end:
        began = time.perf_counter()
        async with http.request(method, url, **request) as answer:  # pyright: ignore[reportArgumentType]
            body = await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{url}: {answer.status} {body[:300]!r}")
        waits.append(time.perf_counter() - began)
    return waits


async def run(running: Site, seconds: float, *, with_rivals: bool) -> None:
    add_machines(running, MACHINES)
    with running.database() as database:
        database.autocommit = True
        database.execute("ANALYZE machines")
    server = running.server()
    started = [start(running) for start in (rivals.dstack, rivals.gpustack)] if with_rivals else []
    async with aiohttp.ClientSession() as http:
        person = await admin(running, http, server.url)
        ours = f"{person.url}/machines?{QUERY}"
        await latencies(http, "GET", ours, 1, headers=person.headers)
        mine = await latencies(http, "GET", ours, seconds, headers=person.headers)
        unknown = [
            wait
            for query in OTHERS
            for wait in await latencies(
                http, "GET", f"{person.url}/machines?{query}", 0, headers=person.headers
            )
        ]
        others: dict[str, dict[str, float]] = {}
        for rival in started:
            url = f"http://127.0.0.1:{rival.port}{rival.path}"
            headers = {"Authorization": rival.authorization, "Content-Type": "application/json"}
            await latencies(http, rival.method, url, 1, headers=headers, data=rival.body)
            theirs = await latencies(http, rival.method, url, seconds, headers=headers, data=rival.body)
            others[rival.name] = {
                "version": rival.version,
                "per_s": round(len(theirs) / seconds),
                **percentiles(theirs),
            }
    per_second = round(len(mine) / seconds)
    ratios = {name: round(per_second / max(1, figures["per_s"]), 1) for name, figures in others.items()}
    report(
        "machine_list",
        "p99 at most 30 ms at one client; at least 10 × the rivals' requests per second",
        machines=MACHINES,
        query=QUERY,
        remotegpu={"per_s": per_second, **percentiles(mine)},
        asked_for_the_first_time={"per_s": round(len(unknown) / sum(unknown)), **percentiles(unknown)},
        rivals_with_empty_lists=others,
        ratio=ratios,
        met=max(percentiles(mine)["p99_ms"], percentiles(unknown)["p99_ms"]) <= 30
        and all(ratio >= 10 for ratio in ratios.values()),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--no-rivals", action="store_true")
    options = parser.parse_args()
    with site() as running_site:
        uvloop.run(run(running_site, options.seconds, with_rivals=not options.no_rivals))
