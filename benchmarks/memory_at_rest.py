"""Resident memory of server, worker and agent two minutes after a start, with one machine and nothing to do."""

import argparse
import asyncio

import aiohttp
import uvloop

from harness import Site, report, site
from world import leased_world


async def run(running: Site, seconds: float) -> None:
    async with aiohttp.ClientSession() as http, leased_world(running, http) as world:
        await asyncio.sleep(seconds)
        server, worker, agent = (program.rss_mib() for program in (world.server, world.worker, world.agent))
    report(
        "memory_at_rest",
        "server and worker together at most 250 MiB, agent at most 60 MiB",
        mib={"server": round(server), "worker": round(worker), "agent": round(agent)},
        server_and_worker_mib=round(server + worker),
        met=server + worker <= 250 and agent <= 60,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    with site() as running_site:
        uvloop.run(run(running_site, options.seconds))
