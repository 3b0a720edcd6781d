"""What a machine should be: the desired-state document, composed from the domains."""

import uuid
from datetime import timedelta

from sqlalchemy import and_, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from remotegpu.kit.clock import utc_now
from remotegpu.protocol.attempts import AttemptSpec
from remotegpu.protocol.sync import AccountCleanup, AccountSpec, DesiredState, StreamSpec
from remotegpu.server.core.errors import NotAuthenticatedError
from remotegpu.server.domains.access import certificates
from remotegpu.server.domains.access import repository as sessions
from remotegpu.server.domains.access.models import AccessSession
from remotegpu.server.domains.allocations import repository as leases
from remotegpu.server.domains.allocations.models import Allocation
from remotegpu.server.domains.auth import ssh_keys
from remotegpu.server.domains.customers.models import Customer
from remotegpu.server.domains.machines.models import Machine
from remotegpu.server.domains.tasks import repository as tasks
from remotegpu.server.domains.tasks.models import Attempt, Task

STREAM_WINDOW = timedelta(seconds=30)
"""A stream nobody dialled within this is no longer waited for."""
SAMPLE_SECONDS = 15.0
WATCHED_SAMPLE_SECONDS = 2.0


async def compose(
    tx: AsyncSession, machine_id: uuid.UUID, *, ca_public_key: str, lease_seconds: int, watched: bool
) -> DesiredState:
    """The document for one machine, at the revision read first: a later change means one more round, never a loss."""
    machine, allocation, active, keys = await _read(tx, machine_id)
    leased = allocation is not None  # nothing runs on a machine that nobody holds: no need to ask
    attempts = await tasks.desired_attempts(tx, machine_id) if leased else []
    streams = await sessions.waiting_streams(tx, machine_id, utc_now() - STREAM_WINDOW) if leased else []
    return DesiredState(
        revision=machine.revision,
        accounts=_accounts(allocation, keys if active else [], active=active),
        cleanups=_cleanups(allocation),
        attempts=[_attempt(attempt, task, allocation) for attempt, task in attempts],
        streams=[_stream(session) for session in streams],
        ssh_ca_keys=[ca_public_key],
        maintenance=machine.maintenance,
        sample_interval_s=WATCHED_SAMPLE_SECONDS if watched else SAMPLE_SECONDS,
        rotate_token=machine.rotation_requested,
        lease_s=lease_seconds,
    )


_MACHINE = (
    select(Machine, Allocation, Customer.status, ssh_keys.keys_of(Allocation.customer_id))
    .outerjoin(
        Allocation, and_(Allocation.machine_id == Machine.id, Allocation.state.in_(leases.HOLDING_STATES))
    )
    .outerjoin(Customer, Customer.id == Allocation.customer_id)
    .where(Machine.id == bindparam("machine_id"))
    .options(defer(Machine.inventory))
)


async def _read(
    tx: AsyncSession, machine_id: uuid.UUID
) -> tuple[Machine, Allocation | None, bool, list[str]]:
    """The machine, the allocation that holds it, whether that company is active, and its members' public keys."""
    row = (await tx.execute(_MACHINE, {"machine_id": machine_id})).first()
    if row is None:
        raise NotAuthenticatedError("this machine was deleted; enrol it again", code="node_token_refused")
    return row[0], row[1], row[2] == "active", row[3]


def _accounts(allocation: Allocation | None, keys: list[str], *, active: bool) -> list[AccountSpec]:
    """The leaseholder's account. A suspended company keeps its account and files, but nothing opens it."""
    if allocation is None or allocation.state not in leases.USABLE_STATES:
        return []
    return [
        AccountSpec(
            name=allocation.account,
            allocation_id=str(allocation.id),
            authorized_keys=keys,
            principals=[certificates.principal(allocation.id)] if active else [],
        )
    ]


def _cleanups(allocation: Allocation | None) -> list[AccountCleanup]:
    if allocation is None or allocation.state != "reclaiming" or allocation.account_wiped:
        return []
    return [AccountCleanup(name=allocation.account, allocation_id=str(allocation.id))]


def _attempt(attempt: Attempt, task: Task, allocation: Allocation | None) -> AttemptSpec:
    return AttemptSpec(
        attempt_id=str(attempt.id),
        task_id=str(task.id),
        number=attempt.number,
        account=allocation.account if allocation else "",
        kind=task.kind,  # pyright: ignore[reportArgumentType] - the column holds a TaskKind
        command=task.command,
        args=task.args,
        env=task.env,
        workdir=task.workdir,
        gpu_indices=attempt.gpu_indices,
        timeout_s=task.timeout_s,
        stop=attempt.stop_requested,
    )


def _stream(session: AccessSession) -> StreamSpec:
    return StreamSpec(
        stream_id=str(session.id), path=f"/api/v1/agent/streams/{session.id}?via={session.instance}"
    )
