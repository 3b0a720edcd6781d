"""A whole control plane per module: real server and worker processes, an admin, a company, simulated hosts."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from remotegpu.server import settings
from remotegpu.server.core.services import Services, open_services
from server_client import (
    Client,
    ServerProcess,
    first_admin,
    http_session,
    in_days,
    lease,
    new_customer,
    new_member,
)
from services import Stack
from simulated_agent import SimulatedAgent

DEFAULTS = {"AGENT_SYNC_WAIT": "2s", "AGENT_UNREACHABLE_AFTER": "60s"}
"""Short polls, so that a test that waits for one to end is quick. A module changes this in its ``SETTINGS``."""


@dataclass
class World:
    """Everything a scenario needs. ``server`` is the first process; ``services`` reach the same data in this one."""

    stack: Stack
    env: dict[str, str]
    directory: Path
    http: aiohttp.ClientSession
    server: ServerProcess
    admin: Client
    services: Services
    customer: dict[str, Any] = field(default_factory=dict[str, Any])
    member: Client = field(init=False)

    async def new_company(self) -> tuple[dict[str, Any], Client]:
        """Another company, and a member of it."""
        customer = await new_customer(self.admin)
        return customer, await new_member(self.admin, customer["id"])

    def host(self, name: str | None = None, **fields: Any) -> SimulatedAgent:
        """A host that is not enrolled yet."""
        return SimulatedAgent(self.http, self.server.url, name or f"node-{secrets.token_hex(4)}", **fields)

    async def join_token(self, **fields: Any) -> dict[str, Any]:
        return await self.admin.post("/join-tokens", {"name": "a rack", **fields}, expect=201)

    async def machine(self, **fields: Any) -> SimulatedAgent:
        """An enrolled host whose machine is online and reachable."""
        host = self.host(**fields)
        await host.enrol((await self.join_token())["token"])
        await host.sync()
        await self.until(host, lambda machine: machine["reachable"])
        return host

    async def leased(self, customer_id: str | None = None, **fields: Any) -> SimulatedAgent:
        """The same, leased to the company (or another one) for a month."""
        host = await self.machine(**fields)
        await lease(self.admin, host.machine_id, customer_id or self.customer["id"])
        await host.sync()
        return host

    async def see(self, host: SimulatedAgent) -> dict[str, Any]:
        """The machine as an admin sees it."""
        return await self.admin.get(f"/machines/{host.machine_id}")

    async def until(
        self, host: SimulatedAgent, condition: Callable[[dict[str, Any]], object], seconds: float = 10
    ) -> dict[str, Any]:
        return await eventually(lambda: self.see(host), condition, seconds)

    async def allocation(self, host: SimulatedAgent) -> dict[str, Any]:
        """The latest allocation of a machine."""
        path = f"/allocations?machine_id={host.machine_id}&sort=-created_at"
        return (await self.admin.get(path))["items"][0]

    async def until_allocation(
        self, host: SimulatedAgent, condition: Callable[[dict[str, Any]], object], seconds: float = 15
    ) -> dict[str, Any]:
        return await eventually(lambda: self.allocation(host), condition, seconds)

    async def end_lease(self, host: SimulatedAgent, reason: str = "") -> dict[str, Any]:
        allocation = await self.allocation(host)
        return await self.admin.post(f"/allocations/{allocation['id']}/end", {"reason": reason})

    async def submit(
        self, host: SimulatedAgent, client: Client | None = None, **fields: Any
    ) -> dict[str, Any]:
        """A task on a leased machine."""
        body = {
            "machine_id": host.machine_id,
            "name": "work",
            "kind": "shell",
            "command": "true",
            **fields,
        }
        return await (client or self.member).post("/tasks", body, expect=201)

    async def task(self, task_id: str) -> dict[str, Any]:
        return await self.admin.get(f"/tasks/{task_id}")

    async def until_task(self, task_id: str, *states: str, seconds: float = 15) -> dict[str, Any]:
        return await eventually(lambda: self.task(task_id), lambda task: task["state"] in states, seconds)

    async def cut_off(self, host: SimulatedAgent) -> None:
        """As if the machine had not been heard of for an hour. Its last heartbeat is written first."""
        await asyncio.sleep(1.3)
        self.sql(
            "UPDATE machines SET reachable = false, reachability_since = now(), "
            "last_seen_at = now() - interval '1 h' WHERE id = %s",
            host.machine_id,
        )

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Behind the server's back, as the database's superuser."""
        with self.stack.connect(self.env) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def another_server(
        self, launcher: tuple[str, ...] = ServerProcess.launcher, **variables: str
    ) -> Iterator[ServerProcess]:
        """One more server process on the same services."""
        name = f"other-{secrets.token_hex(3)}"
        env = {**self.env, "INSTANCE_NAME": name, **variables}
        process = ServerProcess(env, self.directory / f"{name}.log", launcher=launcher)
        try:
            yield process.start()
        finally:
            process.stop()


async def eventually(
    look: Callable[[], Awaitable[dict[str, Any]]],
    condition: Callable[[dict[str, Any]], object],
    seconds: float = 10,
) -> dict[str, Any]:
    """What ``look`` finds once it fulfils ``condition``; fails with what it found last."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        found = await look()
        if condition(found):
            return found
        assert asyncio.get_running_loop().time() < deadline, f"not within {seconds} s, but: {found}"
        await asyncio.sleep(0.05)


async def until_working(worker: ServerProcess) -> None:
    """A worker that could not start would make every scenario wait in vain."""
    deadline = asyncio.get_running_loop().time() + 30
    while "worker started" not in worker.log_path.read_text(encoding="utf-8"):
        assert worker.process is not None
        assert worker.process.poll() is None, worker.log_path.read_text(encoding="utf-8")
        assert asyncio.get_running_loop().time() < deadline, "the worker does not start"
        await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
async def world(
    request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """One per module; its tests use machines of their own."""
    directory = tmp_path_factory.mktemp("server")
    env = {**stack.server_env(), **DEFAULTS, **getattr(request.module, "SETTINGS", {})}
    server = ServerProcess(env, directory / "server.log")
    worker = ServerProcess(env, directory / "worker.log", "worker")
    services = open_services(settings.load(env))
    try:
        server.start()
        await until_working(worker.start())
        services.hub.start()
        async with http_session() as http:
            admin = await first_admin(http, server)
            made = World(stack, env, directory, http, server, admin, services)
            made.customer, made.member = await made.new_company()
            yield made
    finally:
        worker.stop()
        server.stop()
        await services.close()
        stack.release(env)


__all__ = ["World", "eventually", "in_days"]
