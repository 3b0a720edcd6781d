"""The platform under test: the real services, server and worker, and three agents on this host, all durable.

``prepare`` and the process plan are the product's own; only who keeps the processes up is another one here.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp

from chaos import keeper
from chaos.keeper import Keeper
from chaos.plans import AGENTS, GPUS_PER_MACHINE, Scale
from remotegpu.local import objects, ports, roles
from remotegpu.local.layout import Layout
from remotegpu.local.plan import (
    Options,
    ServiceSpec,
    Site,
    base_environment,
    data_services,
    program,
    server_environment,
)
from remotegpu.local.postgres import DATABASE
from remotegpu.local.prepare import Tuning, claim, prepare
from remotegpu.local.probes import HttpProbe
from server_client import Client, ServerProcess, first_admin, lease, new_customer, new_member
from services import migrate

DATA = ("postgres", "valkey", "s3")


@dataclass
class Platform:
    """A running platform. ``member`` has a lasting token: sign-ins live in Valkey, whose last second may be lost."""

    site: Site
    keeper: Keeper
    environment: dict[str, str]
    witness: Path
    admin: Client
    member: Client
    machine_ids: list[str] = field(default_factory=list)

    @property
    def layout(self) -> Layout:
        return self.site.layout

    def agent_data(self, name: str) -> Path:
        return self.layout.root / name


@asynccontextmanager
async def running(directory: Path, scale: Scale, http: aiohttp.ClientSession) -> AsyncGenerator[Platform]:
    """Everything up, three machines leased to one customer. Nothing of it runs afterwards."""
    site = prepare(claim(Layout(directory)), Options(port=_free_port()), Tuning())
    environment = {
        **base_environment(os.environ, site.layout),
        **server_environment(site.secrets, site.ports, site.options),
        "AGENT_LEASE_SECONDS": str(scale.lease_s),
        "AGENT_UNREACHABLE_AFTER": str(scale.lease_s),
    }
    roots = [site.layout.root / name / "attempts" for name in AGENTS]
    watch = Keeper(site.layout, roots)
    witness = directory / "witness"
    witness.mkdir()
    keeping = asyncio.create_task(watch.run())
    try:
        platform = await _bring_up(site, watch, environment, witness, http)
        yield platform
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        watch.stop()
        keeper.kill_strays(witness)
        for path in objects.grpc_sockets(site.ports):
            path.unlink(missing_ok=True)


async def _bring_up(
    site: Site, watch: Keeper, environment: dict[str, str], witness: Path, http: aiohttp.ClientSession
) -> Platform:
    watch.add(data_services(site, os.environ))
    await watch.until_ready(DATA)
    await asyncio.to_thread(roles.create, site.ports["postgres"], site.secrets, DATABASE)
    await asyncio.to_thread(migrate, environment)
    watch.add(_programs(site, environment))
    await watch.until_ready(["server", "worker"])
    told = ServerProcess(environment, site.layout.log("server"), port=site.options.port)
    admin = await first_admin(http, told)
    customer = await new_customer(admin)
    owner = await new_member(admin, customer["id"], "customer_owner")
    platform = Platform(site, watch, environment, witness, await _lasting(admin), await _lasting(owner))
    await asyncio.gather(*(_enrol(platform, name) for name in AGENTS))
    watch.add([_agent(platform, name) for name in AGENTS])
    platform.machine_ids = await _machines_online(admin)
    for machine_id in platform.machine_ids:
        await lease(admin, machine_id, customer["id"])
    return platform


async def _lasting(person: Client) -> Client:
    created = await person.post("/auth/tokens", {"name": "chaos", "expires_in_days": 1}, expect=201)
    return person.with_token(created["token"])


def _programs(site: Site, environment: dict[str, str]) -> list[ServiceSpec]:
    server = ServiceSpec(
        name="server",
        argv=program(site.options, "server", "run"),
        environment=environment,
        directory=site.layout.root,
        probe=HttpProbe(site.options.port, "/health/ready", timeout_s=3),
    )
    worker = replace(server, name="worker", argv=program(site.options, "server", "worker"), probe=None)
    return [server, worker]


def _agent(platform: Platform, name: str) -> ServiceSpec:
    site, place = platform.site, platform.agent_data(name)
    base = base_environment(os.environ, site.layout)
    return ServiceSpec(
        name=name,
        argv=program(site.options, "agent", "run", "--env-file", str(place / "agent.env")),
        environment={**base, "REMOTEGPU_PYTHON": sys.executable},
        directory=place,
        owns_group=False,
        stop_timeout_s=15,
    )


async def _enrol(platform: Platform, name: str) -> None:
    """As on any host: one command with a join token."""
    place = platform.agent_data(name)
    place.mkdir()
    token = await platform.admin.post("/join-tokens", {"name": name}, expect=201)
    command = program(platform.site.options, "agent", "enroll", "--server", platform.site.options.url)
    command += ["--token-file", "-", "--name", name, "--data-dir", str(place)]
    command += ["--env-file", str(place / "agent.env"), "--isolation", "directory"]
    command += ["--simulate-gpus", str(GPUS_PER_MACHINE)]
    done = await asyncio.to_thread(
        subprocess.run, command, input=token["token"], text=True, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def _machines_online(admin: Client, patience_s: float = 60) -> list[str]:
    """Ids of the three machines, in the order of their names."""
    deadline = asyncio.get_running_loop().time() + patience_s
    while True:
        found = (await admin.get("/machines?sort=name"))["items"]
        if len(found) == len(AGENTS) and all(
            each["reachable"] and each["state"] == "online" for each in found
        ):
            return [each["id"] for each in found]
        assert asyncio.get_running_loop().time() < deadline, f"machines did not come online: {found}"
        await asyncio.sleep(0.1)


def _free_port() -> int:
    """Between the platform's internal ports and those of outgoing connections: it must be free again after a kill."""
    while True:
        port = 30_000 + int.from_bytes(os.urandom(2)) % 2_500
        if ports.is_free(port):
            return port
