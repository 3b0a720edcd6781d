"""Sync calls per second with 1,000 agents speaking the real protocol, beside a bare handler with one UPDATE each."""

import argparse
import asyncio

import uvloop

from harness import Agent, RawHttp, Site, add_machines, rate, report, site, sync_body

ROUNDS = 3


async def measure(port: int, agents: list[Agent], seconds: float, path: str | None) -> float:
    """Calls per second. ``path`` None: the real route."""
    connections = [await RawHttp.open(port) for _ in agents]
    bodies = [sync_body(agent, wait=False) for agent in agents]

    async def one(number: int) -> None:
        agent = agents[number]
        where = path.format(agent.machine_id) if path else "/api/v1/agent/sync"
        status, answer = await connections[number].post(where, agent.token, bodies[number])
        if status != 200:
            raise RuntimeError(f"{status}: {answer[:300]!r}")

    await rate(connections, 1.0, one)
    reached = await rate(connections, seconds, one)
    for connection in connections:
        connection.close()
    return reached


async def run(running: Site, count: int, seconds: float) -> None:
    agents = add_machines(running, count)
    server, bare = running.server(), running.start("benchmarks/bare_server.py")
    await asyncio.sleep(3)
    ours: list[float] = []
    limit: list[float] = []
    for _ in range(ROUNDS):
        limit.append(await measure(bare.port, agents, seconds, "/sync/{}"))
        ours.append(await measure(server.port, agents, seconds, None))
    best_ours, best_bare = max(ours), max(limit)
    report(
        "sync_throughput",
        "at least 0.5 × the bare handler",
        agents=count,
        remotegpu_per_s=[round(value) for value in ours],
        bare_per_s=[round(value) for value in limit],
        ratio=round(best_ours / best_bare, 2),
        met=best_ours >= 0.5 * best_bare,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=6.0)
    options = parser.parse_args()
    with site() as running_site:
        uvloop.run(run(running_site, options.agents, options.seconds))
