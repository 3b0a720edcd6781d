"""Machines: what they are, their state, the revision of what they should be."""

import uuid
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.protocol.inventory import HostSample, Inventory
from remotegpu.server.core.errors import ConflictError
from remotegpu.server.core.hub import announce
from remotegpu.server.domains.audit import service as audit
from remotegpu.server.domains.machines import repository, states
from remotegpu.server.domains.machines.models import Machine
from remotegpu.server.domains.machines.schemas import (
    Holder,
    MachineChange,
    MachineDetail,
    MachineView,
)

TOKENS_TOPIC, ALL_TOKENS = "node-tokens", "all"
"""Hub topic and key of "a machine's tokens have changed"; the body is its id."""


def view(row: Any, sample: HostSample | None) -> MachineView:
    return MachineView(**_fields(row, sample))


def detail(row: Any, sample: HostSample | None) -> MachineDetail:
    machine: Machine = row[0]
    inventory = msgspec.convert(machine.inventory, Inventory) if machine.inventory else None
    return MachineDetail(
        **_fields(row, sample),
        inventory=inventory,
        revision=machine.revision,
        applied_revision=machine.applied_revision,
    )


_SAME_NAME = [name for name in MachineView.__struct_fields__ if name not in {"allocation", "sample"}]


def _fields(row: Any, sample: HostSample | None) -> dict[str, Any]:
    machine, allocation_id, customer_id, ends_at, state, customer_name = row
    holder = None
    if allocation_id is not None:
        holder = Holder(
            id=allocation_id,
            customer_id=customer_id,
            customer_name=customer_name or "",
            ends_at=ends_at,
            state=state,
        )
    return {name: getattr(machine, name) for name in _SAME_NAME} | {"allocation": holder, "sample": sample}


_BUMP = (
    update(Machine)
    .where(Machine.id == bindparam("machine_id"))
    .values(revision=Machine.revision + 1)
    .execution_options(synchronize_session=False)  # nobody reads it in the session that does it
)


async def bump(tx: AsyncSession, machine_id: uuid.UUID) -> None:
    """What the machine should be has changed: next revision, and wake its poll after the commit."""
    await tx.execute(_BUMP, {"machine_id": machine_id})
    announce(tx, "wake", machine_id)


async def bump_machines_of(tx: AsyncSession, customer_id: uuid.UUID) -> None:
    """The same for every machine a customer leases."""
    leased = select(repository.allocations.c.machine_id).where(
        repository.allocations.c.customer_id == customer_id,
        repository.allocations.c.state.in_(repository.USABLE_STATES),
    )
    for machine_id in await tx.scalars(leased):
        await bump(tx, machine_id)


def set_state(
    tx: AsyncSession, machine: Machine, wanted: str, reason: str, customer_id: uuid.UUID | None = None
) -> None:
    """The one place where a machine changes its state. Raises :class:`ConflictError` for an illegal change."""
    states.check_transition(machine.state, wanted)
    previous, machine.state = machine.state, wanted
    audit.record(
        tx,
        "machine.state",
        "machine",
        machine.id,
        customer_id=customer_id,
        detail={"from": previous, "to": wanted, "reason": reason, "name": machine.name},
    )
    announce(tx, "machines", machine.id, [str(customer_id)] if customer_id else None)


async def take_inventory(tx: AsyncSession, machine_id: uuid.UUID, inventory: Inventory, digest: str) -> None:
    """Store what an agent reports of its machine. The first report brings the machine online."""
    machine = await repository.lock(tx, machine_id)
    apply_inventory(machine, inventory, digest)
    await tx.flush()
    holder = await repository.holder_of(tx, machine_id)
    announce(tx, "machines", machine_id, [str(holder)] if holder else None)
    if machine.state == "enrolling":
        set_state(tx, machine, "online", "the first report has arrived")
        if machine.maintenance:
            set_state(tx, machine, "maintenance", "maintenance was switched on before the first report")


def apply_inventory(machine: Machine, inventory: Inventory, digest: str) -> None:
    """Store what the machine is, and the facts lists filter by."""
    machine.inventory = msgspec.to_builtins(inventory)
    machine.inventory_hash = digest
    machine.simulated = any(gpu.simulated for gpu in inventory.gpus)
    machine.isolation = inventory.isolation
    machine.gpu_count = len(inventory.gpus)
    machine.gpu_model = inventory.gpus[0].model if inventory.gpus else ""
    machine.gpu_memory_bytes = inventory.gpus[0].memory_bytes if inventory.gpus else 0
    machine.cpu_threads = inventory.cpu_threads
    machine.memory_bytes = inventory.memory_bytes
    machine.os = inventory.os
    machine.driver_version = inventory.driver_version or ""


async def change_machine(tx: AsyncSession, machine_id: uuid.UUID, body: MachineChange) -> None:
    """Rename, move to a region, switch maintenance. Maintenance keeps new work away; leases stay."""
    machine = await repository.lock(tx, machine_id)
    if body.name is not None and body.name != machine.name:
        if await tx.scalar(select(Machine.id).filter_by(name=body.name)):
            raise ConflictError(f"a machine named {body.name!r} exists already", code="machine_name_taken")
        machine.name = body.name
    if body.region is not None:
        machine.region = body.region
    if body.maintenance is not None and body.maintenance != machine.maintenance:
        _set_maintenance(tx, machine, wanted=body.maintenance)
    changed = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not None}
    audit.record(tx, "machine.change", "machine", machine_id, detail=changed)
    await tx.flush()
    await bump(tx, machine_id)
    announce(tx, "machines", machine_id)


def _set_maintenance(tx: AsyncSession, machine: Machine, *, wanted: bool) -> None:
    machine.maintenance = wanted
    if wanted and machine.state == "online":
        set_state(tx, machine, "maintenance", "maintenance switched on")
    elif not wanted and machine.state == "maintenance":
        set_state(tx, machine, "online", "maintenance switched off")


async def delete_machine(tx: AsyncSession, machine_id: uuid.UUID) -> None:
    """Forget a machine that is not leased; its agent is refused from then on."""
    machine = await repository.lock(tx, machine_id)
    any_lease = (
        select(func.count())
        .select_from(repository.allocations)
        .where(repository.allocations.c.machine_id == machine_id)
    )
    if machine.state in {"allocated", "reclaiming"}:
        raise ConflictError(
            f"{machine.name} is {machine.state}; end its allocation first", code="machine_in_use"
        )
    if await tx.scalar(any_lease):
        raise ConflictError(
            f"{machine.name} has past allocations, whose records must stay; switch on maintenance instead",
            code="machine_has_history",
        )
    await tx.delete(machine)
    audit.record(tx, "machine.delete", "machine", machine_id, detail={"name": machine.name})
    announce(tx, "machines", machine_id)
    announce(tx, TOKENS_TOPIC, ALL_TOKENS, body=str(machine_id))
    announce(tx, "wake", machine_id)


async def mark_unreachable(tx: AsyncSession, after: timedelta) -> list[uuid.UUID]:
    """Machines not heard of for ``after`` become unreachable; their state stays what it is."""
    now = utc_now()
    rows = await tx.execute(
        update(Machine)
        .where(Machine.reachable.is_(True), Machine.last_seen_at < now - after)
        .values(reachable=False, reachability_since=now)
        .returning(Machine.id, Machine.name)
    )
    lost = rows.all()
    for machine_id, name in lost:
        audit.record(tx, "machine.unreachable", "machine", machine_id, detail={"name": name})
        announce(tx, "machines", machine_id)
    return [machine_id for machine_id, _ in lost]
