"""A small leased world: server, worker, one real agent on this host, and a member who may use it."""

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp

from harness import Person, Program, Site, admin, sign_in

READY_SECONDS = 30.0


@dataclass
class World:
    server: Program
    worker: Program
    agent: Program
    admin: Person
    member: Person
    machine_id: str


@asynccontextmanager
async def leased_world(running: Site, http: aiohttp.ClientSession) -> AsyncIterator[World]:
    """Start everything, lease the machine, sign the member in."""
    server = running.server()
    worker = running.start("-m", "remotegpu.cli.main", "server", "worker")
    operator = await admin(running, http, server.url)
    agent = await _agent(running, operator, server)
    machine = await _online(operator)
    code = f"bench-{secrets.token_hex(4)}"
    customer = await operator.call("POST", "/customers", {"company_code": code, "name": "Benchmark"})
    email = f"member@{code}.example"
    body = {"email": email, "display_name": "Member", "role": "customer_member"}
    made = await operator.call("POST", f"/customers/{customer['id']}/members", body)
    ends = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    lease = {"machine_id": machine["id"], "customer_id": customer["id"], "ends_at": ends}
    await operator.call("POST", "/allocations", lease)
    member = await sign_in(
        http, server.url, email, made["initial_password"], f"Benchmark-{secrets.token_hex(8)}"
    )
    await asyncio.sleep(1)
    yield World(server, worker, agent, operator, member, machine["id"])


async def _agent(running: Site, operator: Person, server: Program) -> Program:
    token = (await operator.call("POST", "/join-tokens", {"name": "benchmark"}))["token"]
    token_file, env_file = running.directory / "join-token", running.directory / "agent.env"
    token_file.write_text(token)
    data = running.directory / "agent"
    shared = [
        "--data-dir",
        str(data),
        "--env-file",
        str(env_file),
        "--isolation",
        "directory",
        "--simulate-gpus",
        "2",
    ]
    running.remotegpu("agent", "enroll", "--server", server.url, "--token-file", str(token_file), *shared)
    return running.start("-m", "remotegpu.cli.main", "agent", "run", env=read_env(env_file))


def read_env(path: Path) -> dict[str, str]:
    """An environment file as the service manager reads it."""
    lines = (
        line.partition("=")
        for line in path.read_text().splitlines()
        if "=" in line and not line.startswith("#")
    )
    return {key.strip(): value.strip().strip("\"'") for key, _, value in lines}


async def _online(operator: Person) -> dict[str, object]:
    deadline = asyncio.get_running_loop().time() + READY_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        page = await operator.call("GET", "/machines")
        ready = [one for one in page["items"] if one["state"] == "online" and one["reachable"]]
        if ready:
            return ready[0]
        await asyncio.sleep(0.1)
    raise RuntimeError(f"no machine came online: {json.dumps(page)[:1000]}, {os.getloadavg()}")
