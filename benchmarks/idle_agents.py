"""10,000 idle agents held by one server process: its memory, and how long a wake-up takes to be answered."""

import argparse
import asyncio
import random
import time

import uvloop
from harness import Agent, RawHttp, Site, add_machines, percentiles, report, site, sync_body

OPEN_AT_ONCE = 200
WAKES = 500


async def run(running: Site, count: int) -> None:
    agents = add_machines(running, count)
    server = running.server()
    empty = server.rss_mib()
    connections = [await RawHttp.open(server.port) for _ in agents]
    for start in range(0, count, OPEN_AT_ONCE):
        for connection, agent in zip(connections[start:], agents[start : start + OPEN_AT_ONCE], strict=False):
            connection.send("/api/v1/agent/sync", agent.token, sync_body(agent, wait=True))
        await asyncio.sleep(0.15)
    await asyncio.sleep(3)
    held = server.rss_mib()
    waits, lost = await _wake_some(running, connections, agents)
    report(
        "idle_agents",
        "10,000 agents in under 1 GiB, p99 of an answered wake-up below 100 ms",
        agents=count,
        memory_mib={"empty": round(empty), "held": round(held), "after_wakes": round(server.rss_mib())},
        wake=percentiles(waits),
        lost=lost,
        met=held < 1024 and percentiles(waits)["p99_ms"] < 100 and not lost,
    )


async def _wake_some(running: Site, connections: list[RawHttp], agents: list[Agent]) -> tuple[list[float], int]:
    """Change one machine after another as the API would, and time until its poll is answered."""
    import redis.asyncio as redis  # the server's own wake-up channel, as a second instance would use it

    host, _, port = running.env["REDIS_ADDR"].partition(":")
    client = redis.Redis(
        host=host, port=int(port), password=running.env["REDIS_PASSWORD"], db=int(running.env.get("REDIS_DB", "0"))
    )
    database = running.database()
    waits: list[float] = []
    lost = 0
    for number in random.Random(1).sample(range(len(agents)), min(WAKES, len(agents))):
        machine_id = agents[number].machine_id
        with database.transaction():
            database.execute("UPDATE machines SET revision = revision + 1 WHERE id = %s", (machine_id,))
        began = time.perf_counter()
        message = f'[{{"topic":"wake","key":"{machine_id}","origin":"benchmark"}}]'
        await client.publish("remotegpu:hub", message)
        try:
            async with asyncio.timeout(5):
                await connections[number].answer()
            waits.append(time.perf_counter() - began)
        except TimeoutError:
            lost += 1
        await asyncio.sleep(0.01)
    await client.aclose()
    database.close()
    return waits, lost


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=10_000)
    options = parser.parse_args()
    with site() as running_site:
        uvloop.run(run(running_site, options.agents))
