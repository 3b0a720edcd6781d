"""The operator's side: the machine comes online, is leased, and comes back after the lease."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from remotegpu.client.api import Api
from remotegpu.client.errors import ClientError
from remotegpu.client.models import Allocation, AllocationStep, Customer, Machine

POLL_S = 0.1
ONLINE_TIMEOUT_S = 60.0
RECLAIM_TIMEOUT_S = 60.0
LEASE = timedelta(days=7)


async def wait_until_online(admin: Api) -> Machine:
    """This platform's machine, free and reachable. A lease that an interrupted run left behind is ended first."""
    deadline = asyncio.get_running_loop().time() + ONLINE_TIMEOUT_S
    seen = "no machine enrolled"
    while asyncio.get_running_loop().time() < deadline:
        machines = [msgspec.json.decode(row, type=Machine) for row in await admin.items("/machines")]
        for machine in machines:
            if machine.reachable and machine.state == "online":
                return machine
            if machine.state == "allocated" and machine.allocation is not None:
                await end_lease(admin, machine.allocation.id, "left behind by an earlier demo")
        seen = (
            ", ".join(f"{m.name} {m.state}{'' if m.reachable else ' unreachable'}" for m in machines) or seen
        )
        await asyncio.sleep(POLL_S)
    raise ClientError(f"after {ONLINE_TIMEOUT_S:.0f} s: {seen}", "a machine online", "remotegpu logs agent")


async def lease(admin: Api, machine: Machine, customer: Customer) -> Allocation:
    ends_at = (datetime.now(UTC) + LEASE).replace(microsecond=0).isoformat().replace("+00:00", "Z")
    body = {"machine_id": machine.id, "customer_id": customer.id, "ends_at": ends_at, "note": "demo"}
    return await admin.post("/allocations", Allocation, body, idempotent=True)


async def end_lease(admin: Api, allocation_id: str, reason: str) -> Allocation:
    return await admin.post(f"/allocations/{allocation_id}/end", Allocation, {"reason": reason})


async def wait_until_ended(
    admin: Api, allocation_id: str, tell: Callable[[AllocationStep], None]
) -> Allocation:
    """Tells each clean-up step once, when it is done. Raises :class:`ClientError` for one that failed for good."""
    told: set[str] = set()
    deadline = asyncio.get_running_loop().time() + RECLAIM_TIMEOUT_S
    while True:
        allocation = await admin.get(f"/allocations/{allocation_id}", Allocation)
        for step in allocation.steps:
            if step.status == "done" and step.name not in told:
                told.add(step.name)
                tell(step)
        if allocation.state == "ended":
            return allocation
        if asyncio.get_running_loop().time() > deadline:
            states = ", ".join(
                f"{step.name} {step.status} {step.detail or ''}".strip() for step in allocation.steps
            )
            raise ClientError(
                f"after {RECLAIM_TIMEOUT_S:.0f} s: {states}", "every step done", "remotegpu logs worker"
            )
        await asyncio.sleep(POLL_S)
