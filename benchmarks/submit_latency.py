"""Submit → running on an idle agent over loopback: from sending the request to the server knowing that it runs."""

import argparse
import asyncio
import time

import aiohttp
import uvloop

from harness import Site, percentiles, report, site
from world import World, leased_world


async def run(running: Site, count: int) -> None:
    async with aiohttp.ClientSession() as http, leased_world(running, http) as world:
        sent = await _submit(world, count)
        with running.database() as database:
            rows = database.execute(
                "SELECT resource_id, extract(epoch FROM at) FROM audit_logs WHERE action = 'task.running'"
            ).fetchall()
        told = {task_id: float(moment) for task_id, moment in rows}
        waits = [told[task_id] - moment for task_id, moment in sent.items() if task_id in told]
    figures = percentiles(waits)
    report(
        "submit_latency",
        "p50 at most 30 ms, p99 at most 100 ms",
        submit_to_running=figures,
        missing=len(sent) - len(waits),
        met=figures["p50_ms"] <= 30 and figures["p99_ms"] <= 100 and len(waits) == len(sent),
    )


async def _submit(world: World, count: int) -> dict[str, float]:
    """One task after another, each on an idle agent. Task id → moment of sending (epoch seconds)."""
    sent: dict[str, float] = {}
    for number in range(count):
        body = {"machine_id": world.machine_id, "name": f"t{number}", "kind": "shell", "command": "true"}
        moment = time.time()
        task = await world.member.call("POST", "/tasks", body)
        sent[task["id"]] = moment
        await _until_final(world, task["id"])
    return sent


async def _until_final(world: World, task_id: str) -> None:
    for _ in range(600):
        await asyncio.sleep(0.05)
        state = (await world.member.call("GET", f"/tasks/{task_id}"))["state"]
        if state not in {"queued", "assigned", "running"}:
            await asyncio.sleep(0.05)
            return
    raise RuntimeError(f"task {task_id} did not end")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=200)
    options = parser.parse_args()
    with site() as running_site:
        uvloop.run(run(running_site, options.tasks))
