"""10,000 idle agents held by one server process: its memory, and how long a wake-up takes to be answered."""

import argparse
import asyncio
import random
import time

import msgspec
import redis.asyncio as redis
import uvloop

from harness import Agent, RawHttp, Site, add_machines, percentiles, report, site, sync_body
from remotegpu.protocol.sync import SyncResponse
from remotegpu.server.core.hub import channel

OPEN_AT_ONCE = 100
WAKES = 500
SETTLE_SECONDS = 30.0
"""One full round of polls, so that they come back spread as in a running site."""


class IdleAgent:
    """Polls for ever, as a real one does; ``answered`` tells when a changed desired state came."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.revision = 1
        self.answered: asyncio.Future[float] | None = None

    async def run(self, port: int) -> None:
        connection = await RawHttp.open(port)
        while True:
            body = sync_body(self.agent, wait=True, revision=self.revision)
            status, answer = await connection.post("/api/v1/agent/sync", self.agent.token, body)
            if status != 200:
                raise RuntimeError(f"{status}: {answer[:300]!r}")
            desired = msgspec.json.decode(answer, type=SyncResponse).desired
            if desired is not None:
                self.revision = desired.revision
                if self.answered is not None and not self.answered.done():
                    self.answered.set_result(time.perf_counter())


async def run(running: Site, count: int) -> None:
    idle = [IdleAgent(agent) for agent in add_machines(running, count)]
    server = running.server()
    empty = server.rss_mib()
    loops: list[asyncio.Task[None]] = []
    for start in range(0, count, OPEN_AT_ONCE):
        loops += [asyncio.create_task(one.run(server.port)) for one in idle[start : start + OPEN_AT_ONCE]]
        await asyncio.sleep(0.15)
    await asyncio.sleep(SETTLE_SECONDS)
    held = server.rss_mib()
    waits, lost = await _wake_some(running, idle)
    failed = sum(loop.done() for loop in loops)
    figures = percentiles(waits)
    report(
        "idle_agents",
        "10,000 agents in under 1 GiB, p99 of an answered wake-up below 100 ms",
        agents=count,
        memory_mib={"empty": round(empty), "held": round(held), "after_wakes": round(server.rss_mib())},
        wake=figures,
        lost=lost,
        failed_agents=failed,
        met=server.rss_mib() < 1024 and figures["p99_ms"] < 100 and not lost and not failed,
    )
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)


async def _wake_some(running: Site, idle: list[IdleAgent]) -> tuple[list[float], int]:
    """Change one machine after another as another server process would, and time until its poll is answered."""
    host, _, port = running.env["REDIS_ADDR"].partition(":")
    client = redis.Redis(
        host=host,
        port=int(port),
        password=running.env["REDIS_PASSWORD"],
        db=int(running.env.get("REDIS_DB", "0")),
    )
    database = running.database()
    database.autocommit = True
    waits: list[float] = []
    lost = 0
    for one in random.Random(1).sample(idle, min(WAKES, len(idle))):
        one.answered = asyncio.get_running_loop().create_future()
        machine_id = one.agent.machine_id
        await asyncio.to_thread(
            database.execute, "UPDATE machines SET revision = revision + 1 WHERE id = %s", (machine_id,)
        )
        began = time.perf_counter()
        message = f'[{{"topic":"wake","key":"{machine_id}","origin":"benchmark"}}]'
        await client.publish(channel(int(running.env.get("REDIS_DB", "0"))), message)
        try:
            waits.append(await asyncio.wait_for(one.answered, 5) - began)
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
