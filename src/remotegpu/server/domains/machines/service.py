"""Machines: enrolment, tokens, state, desired-state revision."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.kit.ids import new_secret, secret_hash, uuid7
from remotegpu.protocol.enrolment import EnrolRequest
from remotegpu.protocol.inventory import HostSample, Inventory
from remotegpu.server.core.context import Caller
from remotegpu.server.core.errors import ConflictError, FieldProblem, NotAuthenticatedError, NotFoundError
from remotegpu.server.core.hub import announce
from remotegpu.server.domains.audit import service as audit
from remotegpu.server.domains.machines import repository, states
from remotegpu.server.domains.machines.models import JoinToken, Machine, NodeToken
from remotegpu.server.domains.machines.schemas import (
    Holder,
    JoinTokenCreate,
    JoinTokenView,
    MachineChange,
    MachineDetail,
    MachineView,
)

JOIN_PREFIX = "rgj_"
NODE_PREFIX = "rgn_"
ROTATION_OVERLAP = timedelta(hours=1)


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


async def bump(tx: AsyncSession, machine_id: uuid.UUID) -> None:
    """What the machine should be has changed: next revision, and wake its poll after the commit."""
    await tx.execute(update(Machine).where(Machine.id == machine_id).values(revision=Machine.revision + 1))
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


async def create_join_token(tx: AsyncSession, caller: Caller, body: JoinTokenCreate) -> tuple[JoinToken, str]:
    secret, now = new_secret(JOIN_PREFIX), utc_now()
    row = JoinToken(
        id=uuid7(),
        name=body.name,
        token_hash=secret_hash(secret),
        max_uses=body.max_uses,
        uses=0,
        expires_at=now + timedelta(hours=body.expires_in_hours),
        created_by=caller.user_id,
        created_at=now,
    )
    tx.add(row)
    audit.record(
        tx, "join_token.create", "join_token", row.id, detail={"name": body.name, "max_uses": body.max_uses}
    )
    return row, secret


def join_token_view(row: JoinToken) -> JoinTokenView:
    return JoinTokenView(**{name: getattr(row, name) for name in JoinTokenView.__struct_fields__})


async def revoke_join_token(tx: AsyncSession, token_id: uuid.UUID) -> None:
    row = await tx.get(JoinToken, token_id)
    if row is None:
        raise NotFoundError(f"there is no join token {token_id}")
    row.revoked_at = row.revoked_at or utc_now()
    audit.record(tx, "join_token.revoke", "join_token", token_id, detail={"name": row.name})


async def _use_join_token(tx: AsyncSession, token: str, now: datetime) -> JoinToken:
    row = await tx.scalar(select(JoinToken).filter_by(token_hash=secret_hash(token)).with_for_update())
    problem = None
    if row is None:
        problem = "this join token is unknown"
    elif row.revoked_at is not None:
        problem = "this join token was revoked"
    elif row.expires_at <= now:
        problem = f"this join token expired at {row.expires_at:%Y-%m-%d %H:%M} UTC"
    elif row.uses >= row.max_uses:
        problem = f"this join token was used {row.uses} of {row.max_uses} times"
    if row is None or problem is not None:
        raise NotAuthenticatedError(
            f"{problem}; create a new one in the console under Join tokens", code="join_token_refused"
        )
    row.uses += 1
    return row


async def enrol(tx: AsyncSession, body: EnrolRequest) -> tuple[Machine, str]:
    """Exchange a join token for a machine and its node token."""
    now = utc_now()
    token = await _use_join_token(tx, body.join_token, now)
    if await tx.scalar(select(Machine.id).filter_by(name=body.name)):
        raise ConflictError(
            f"a machine named {body.name!r} exists already; enrol with another --name, or delete that machine first",
            code="machine_name_taken",
            errors=[FieldProblem("name", body.name, "a name that is not taken")],
        )
    machine = Machine(
        id=uuid7(),
        name=body.name,
        state="enrolling",
        agent_version=body.agent_version,
        protocol_version=body.protocol_version,
        created_at=now,
    )
    apply_inventory(machine, body.inventory, "")
    tx.add(machine)
    await tx.flush()
    secret = issue_node_token(tx, machine.id, now)
    audit.record(
        tx,
        "machine.enrol",
        "machine",
        machine.id,
        actor_name=body.name,
        detail={"join_token": token.name, "name": body.name},
    )
    announce(tx, "machines", machine.id)
    return machine, secret


def issue_node_token(tx: AsyncSession, machine_id: uuid.UUID, now: datetime) -> str:
    """A fresh node token; only its hash is stored."""
    secret = new_secret(NODE_PREFIX)
    tx.add(NodeToken(id=uuid7(), machine_id=machine_id, token_hash=secret_hash(secret), created_at=now))
    return secret


async def rotate_node_token(tx: AsyncSession, machine_id: uuid.UUID) -> tuple[str, int]:
    """A new token for a machine that shows its old one; the old one stays valid for an overlap (seconds returned)."""
    now = utc_now()
    await tx.execute(
        update(NodeToken)
        .where(
            NodeToken.machine_id == machine_id,
            or_(NodeToken.expires_at.is_(None), NodeToken.expires_at > now + ROTATION_OVERLAP),
        )
        .values(expires_at=now + ROTATION_OVERLAP)
    )
    secret = issue_node_token(tx, machine_id, now)
    await tx.execute(
        update(Machine)
        .where(Machine.id == machine_id)
        .values(rotation_requested=False, revision=Machine.revision + 1)
    )
    audit.record(tx, "machine.token_rotate", "machine", machine_id)
    return secret, int(ROTATION_OVERLAP.total_seconds())


async def request_rotation(tx: AsyncSession, machine_id: uuid.UUID) -> None:
    """Ask the agent, through its desired state, to take a new token."""
    machine = await repository.lock(tx, machine_id)
    machine.rotation_requested = True
    audit.record(tx, "machine.token_rotation_requested", "machine", machine_id)
    await tx.flush()
    await bump(tx, machine_id)


async def machine_of_token(tx: AsyncSession, token: str) -> tuple[uuid.UUID, str]:
    """Id and name of the machine behind a node token."""
    query = (
        select(Machine.id, Machine.name)
        .join(NodeToken, NodeToken.machine_id == Machine.id)
        .where(
            NodeToken.token_hash == secret_hash(token),
            or_(NodeToken.expires_at.is_(None), NodeToken.expires_at > utc_now()),
        )
    )
    row = (await tx.execute(query)).first()
    if row is None:
        raise NotAuthenticatedError(
            "this node token is unknown, expired or revoked; enrol the machine again",
            code="node_token_refused",
        )
    return row[0], row[1]


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
    await tx.execute(delete(NodeToken).where(NodeToken.machine_id == machine_id))
    await tx.delete(machine)
    audit.record(tx, "machine.delete", "machine", machine_id, detail={"name": machine.name})
    announce(tx, "machines", machine_id)
    announce(tx, "node-tokens", machine_id)


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
