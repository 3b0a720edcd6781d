"""A small site to look at: simulated hosts that speak the real protocol, companies, leases and tasks.

Everything is made through the API, and every host is marked as simulated wherever it is shown.
"""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import redis

from e2e.site import Company, Site, until
from remotegpu.agent.gpus.simulated import SimulatedGpus
from remotegpu.local.services import inline_secrets
from remotegpu.protocol.attempts import AttemptSpec
from remotegpu.protocol.inventory import DiskFacts, GpuSample, HostSample, Inventory, NicFacts
from server_client import Client, in_days
from simulated_agent import SimulatedAgent, simulated_inventory

GIB = 1 << 30
SILENT = "l40s-04"
"""Was heard of once: becomes unreachable while the other tests run."""


@dataclass(frozen=True)
class Model:
    name: str
    gpus: int
    gpu: str
    memory: int
    region: str


HGX = Model("hgx-h100", 8, "Simulated H100 80GB", 80 * GIB, "fra-1")
L40S = Model("l40s", 4, "Simulated L40S 48GB", 48 * GIB, "sha-2")
HOSTS = [(f"hgx-h100-{n:02}", HGX) for n in range(1, 5)] + [(f"l40s-{n:02}", L40S) for n in range(1, 4)]


class Host:
    """One simulated host: busy while leased, idle otherwise."""

    def __init__(self, site: Site, name: str, model: Model) -> None:
        self.model = model
        self.simulation = SimulatedGpus(model.gpus, seed=name, clock=time.time)
        self.agent = SimulatedAgent(
            site.http,
            site.url,
            name,
            inventory=self._inventory(name),
            sample=self.sample,
            work=perform,
        )

    def _inventory(self, name: str) -> Inventory:
        facts = [
            msgspec.structs.replace(fact, model=self.model.gpu, memory_bytes=self.model.memory)
            for fact in self.simulation.facts()
        ]
        host = simulated_inventory(name, gpus=0)
        return msgspec.structs.replace(
            host,
            cpu_model="AMD EPYC 9554 64-Core Processor",
            cpu_cores=128,
            cpu_threads=256,
            memory_bytes=2048 * GIB,
            driver_version="570.133.20",
            cuda_version="12.8",
            disks=[
                DiskFacts(mount="/", device="/dev/nvme0n1p2", filesystem="ext4", total_bytes=1920 * 10**9)
            ],
            gpus=facts,
            nics=[
                NicFacts(name="eth0", mac="02:00:00:aa:00:01", addresses=["10.20.0.11"], speed_mbit=100_000)
            ],
        )

    @property
    def is_leased(self) -> bool:
        return bool(self.agent.desired and self.agent.desired.accounts)

    def sample(self) -> HostSample:
        figures = self.simulation.samples()
        gpus = figures if self.is_leased else [_idle(each) for each in figures]
        return HostSample(
            taken_at=time.time(),
            cpu_ratio=0.41 if self.is_leased else 0.01,
            memory_used_bytes=(812 if self.is_leased else 24) * GIB,
            memory_total_bytes=2048 * GIB,
            load_1m=101.4 if self.is_leased else 0.3,
            gpus=gpus,
        )


def _idle(figures: GpuSample) -> GpuSample:
    return msgspec.structs.replace(
        figures,
        utilization_ratio=0.0,
        memory_used_bytes=GIB // 2,
        temperature_celsius=31.0,
        power_watts=72.0,
        sm_clock_hz=345_000_000,
    )


LOG = """\
[rank0] loading checkpoint step_12000.pt
[rank0] world size 8, global batch 512, bf16
step 12010 | loss 2.1873 | lr 1.9e-04 | 3.41 it/s
step 12020 | loss 2.1790 | lr 1.9e-04 | 3.44 it/s
"""
ERROR = """\
Traceback (most recent call last):
  File "finetune.py", line 118, in <module>
    main()
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB.
"""


async def perform(agent: SimulatedAgent, spec: AttemptSpec) -> None:
    """What becomes of an attempt is written in its command."""
    agent.begin(spec.attempt_id)
    if "finetune" in spec.command:
        await agent.send_log(spec.attempt_id, ERROR.encode())
        agent.finish(spec.attempt_id, "failed", exit_code=1, reason="the process ended with code 1")
    elif "evaluate" in spec.command:
        await agent.send_log(spec.attempt_id, b"accuracy 0.842\n")
        agent.finish(spec.attempt_id)
    else:
        await agent.push_log(spec.attempt_id, LOG.encode(), offset=0)
        await agent.stop_asked(spec.attempt_id).wait()
        agent.finish(spec.attempt_id, "stopped", exit_code=-15)


TASKS = [
    ("hgx-h100-01", "pretrain llama-8b", "torchrun --nproc-per-node 8 pretrain.py --config llama-8b.yaml", 8),
    ("hgx-h100-01", "pretrain llama-8b, next stage", "torchrun --nproc-per-node 8 pretrain.py --stage 2", 8),
    ("hgx-h100-02", "finetune reranker", "python finetune.py --batch 64", 4),
    ("hgx-h100-02", "evaluate checkpoints", "python evaluate.py --suite mmlu", 2),
    ("l40s-01", "render batch 0417", "blender -b scene.blend -a", 4),
]


@dataclass
class Fleet:
    """``companies`` by their first word, ``owners`` of them by the same, ``machines`` ids by name."""

    site: Site
    companies: dict[str, Company] = field(default_factory=dict[str, Company])
    owners: dict[str, Client] = field(default_factory=dict[str, Client])
    machines: dict[str, str] = field(default_factory=dict[str, str])

    async def settle(self) -> None:
        await self._found_companies()
        await self._label_machines()
        await self._lease()
        await self._submit()

    async def task(self, name: str) -> str:
        """The id of the task of this name."""
        found = (await self.site.admin.get("/tasks", params={"q": name}))["items"]
        return next(str(task["id"]) for task in found if task["name"] == name)

    async def one_is_silent(self) -> None:
        """The host that nobody hears of is known to be unreachable."""

        async def known() -> bool:
            found = await self.site.admin.get("/machines", params={"reachable": "false"})
            return bool(found["total"])

        await until(known, "the silent host is unreachable")

    async def _found_companies(self) -> None:
        for name, owner in (("Northwind Robotics", "Ada Okafor"), ("Orbit Vision", "Jonas Weber")):
            company = await self.site.new_company(name)
            word = name.split()[0]
            self.companies[word], self.owners[word] = company, await company.member("customer_owner", owner)

    async def _label_machines(self) -> None:
        for name, model in HOSTS:
            change: dict[str, Any] = {"region": model.region}
            if name == "l40s-03":
                change["maintenance"] = True
            await self.site.admin.patch(f"/machines/{self.machines[name]}", change)

    async def _lease(self) -> None:
        north, orbit = self.companies["Northwind"], self.companies["Orbit"]
        await north.lease(self.machines["hgx-h100-01"], days=89)
        await north.lease(self.machines["hgx-h100-02"], days=4.5)
        await orbit.lease(self.machines["l40s-01"], days=23)
        later = {"machine_id": self.machines["l40s-02"], "customer_id": orbit.id}
        body = {
            **later,
            "starts_at": in_days(3),
            "ends_at": in_days(33),
            "note": "renders for the spring film",
        }
        await self.site.admin.post("/allocations", body, expect=201)

    async def _submit(self) -> None:
        for machine, name, command, gpus in TASKS:
            owner = self.owners["Orbit" if machine.startswith("l40s") else "Northwind"]
            body = {"name": name, "kind": "shell", "command": command, "gpus": gpus}
            await owner.post("/tasks", body | {"machine_id": self.machines[machine]}, expect=201)

        async def begun() -> bool:
            states = [task["state"] for task in (await self.site.admin.get("/tasks"))["items"]]
            return states.count("running") >= 2 and {"failed", "succeeded"} <= set(states)

        await until(begun, "the fleet's tasks have begun")


async def silent_host(site: Site) -> None:
    """Enrols, says one word, and is never heard of again."""
    agent = Host(site, SILENT, L40S).agent
    await agent.enrol(await join_token(site))
    await agent.sync()
    await site.admin.patch(f"/machines/{agent.machine_id}", {"region": L40S.region})


async def join_token(site: Site, uses: int = 1) -> str:
    body = {"name": "rack 4, fra-1", "max_uses": uses, "expires_in_hours": 24}
    return str((await site.admin.post("/join-tokens", body, expect=201))["token"])


@asynccontextmanager
async def running_fleet(site: Site) -> AsyncIterator[Fleet]:
    """The hosts answer while the block runs."""
    fleet = Fleet(site)
    token = await join_token(site, uses=16)
    async with AsyncExitStack() as running:
        for name, model in HOSTS:
            agent = Host(site, name, model).agent
            await agent.enrol(token)
            fleet.machines[name] = agent.machine_id
            await running.enter_async_context(agent.running())
        await until(lambda: _all_reachable(site), "the fleet is online")
        await fleet.settle()
        yield fleet


async def _all_reachable(site: Site) -> bool:
    found = (await site.admin.get("/machines?reachable=true&state=online&page_size=200"))["items"]
    return {name for name, _ in HOSTS} <= {machine["name"] for machine in found}


def an_hour_of_figures(site: Site, fleet: Fleet) -> None:
    """Puts a past into the cache for the pictures: an hour of figures is more than a test can wait for."""
    now = time.time()
    env = inline_secrets(site.platform.env)
    host, port = env["REDIS_ADDR"].split(":")
    with redis.Redis(host=host, port=int(port), password=env["REDIS_PASSWORD"]) as cache:
        for name, model in HOSTS:
            clock = [0.0]
            simulation = SimulatedGpus(model.gpus, seed=name, clock=lambda clock=clock: clock[0])
            for age in range(30, 3600, 60):
                clock[0] = now - age
                sample = HostSample(
                    taken_at=clock[0],
                    cpu_ratio=0.4,
                    memory_used_bytes=800 * GIB,
                    memory_total_bytes=2048 * GIB,
                    load_1m=98.0,
                    gpus=simulation.samples(),
                )
                cache.rpush(f"samples:{fleet.machines[name]}", msgspec.json.encode(sample))
