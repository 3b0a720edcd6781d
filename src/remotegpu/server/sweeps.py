"""What the worker does again and again. Each sweep reads what is due and acts on each item in its own transaction.

Level-triggered and guarded by row locks: a sweep that dies half-way, or two workers at once, do no harm.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete

from remotegpu.kit.clock import utc_now
from remotegpu.server.core.database import transaction
from remotegpu.server.core.errors import ConflictError
from remotegpu.server.core.idempotency import IdempotencyKey
from remotegpu.server.core.services import Services
from remotegpu.server.domains.access import connections
from remotegpu.server.domains.access import service as access
from remotegpu.server.domains.allocations import service as allocations
from remotegpu.server.domains.audit import service as audit
from remotegpu.server.domains.machines import samples
from remotegpu.server.domains.machines import service as machines
from remotegpu.server.domains.tasks import service as tasks

KEYS_KEPT = timedelta(days=2)


@dataclass(frozen=True)
class Sweep:
    name: str
    every_seconds: float
    run: Callable[[Services], Awaitable[None]]


async def seal_audit(services: Services) -> None:
    """Link new audit entries to the hash chain."""
    await audit.seal(services.sessions)


async def move_allocations(services: Services) -> None:
    """Start leases whose time has come, end those whose time is over, carry on with reclaims."""
    async with services.sessions() as tx:
        starting, ending, reclaiming = await allocations.due(tx, utc_now())
    for allocation_id in starting:
        async with transaction(services.sessions) as tx:
            await allocations.start_due(tx, allocation_id)
    for allocation_id in ending:
        await _end(services, allocation_id)
    latest = await samples.latest(services.redis, reclaiming)
    for machine_id in reclaiming:
        async with transaction(services.sessions) as tx:
            await allocations.advance(tx, machine_id, latest.get(machine_id))


async def _end(services: Services, allocation_id: object) -> None:
    try:
        async with transaction(services.sessions) as tx:
            await allocations.end(tx, allocation_id, "the agreed period is over")  # pyright: ignore[reportArgumentType] - an id of due()
    except ConflictError:
        return  # an admin ended or extended it in this very moment


async def expire_attempts(services: Services) -> None:
    """Attempts whose lease ran out are lost: another try, or failed."""
    lease = timedelta(seconds=services.settings.lease_seconds)
    async with services.sessions() as tx:
        expired = await tasks.expired(tx, utc_now())
    for attempt_id, machine_id in expired:
        async with transaction(services.sessions) as tx:
            await tasks.lose(tx, attempt_id, machine_id, lease)


async def place_tasks(services: Services) -> None:
    """Start queued tasks whose back-off is over, and any that a crash left waiting."""
    lease = timedelta(seconds=services.settings.lease_seconds)
    async with services.sessions() as tx:
        waiting = await tasks.machines_with_due_tasks(tx, utc_now())
    for machine_id in waiting:
        async with transaction(services.sessions) as tx:
            await tasks.place_on(tx, machine_id, lease)


async def mark_unreachable(services: Services) -> None:
    """Machines nobody heard of for a while are unreachable; their state stays."""
    async with transaction(services.sessions) as tx:
        await machines.mark_unreachable(tx, timedelta(seconds=services.settings.unreachable_after_seconds))


async def lose_sessions(services: Services) -> None:
    """Sessions of server processes that are gone are lost."""
    alive = await connections.instances_alive(services)
    async with transaction(services.sessions) as tx:
        await access.lose_sessions_of_dead_instances(tx, alive)


async def forget_keys(services: Services) -> None:
    """Idempotency keys are kept for two days."""
    async with transaction(services.sessions) as tx:
        await tx.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < utc_now() - KEYS_KEPT))


SWEEPS = (
    Sweep("seal audit", 1.0, seal_audit),
    Sweep("move allocations", 2.0, move_allocations),
    Sweep("place tasks", 1.0, place_tasks),
    Sweep("expire attempts", 3.0, expire_attempts),
    Sweep("mark unreachable", 5.0, mark_unreachable),
    Sweep("lose sessions", 10.0, lose_sessions),
    Sweep("forget idempotency keys", 3600.0, forget_keys),
)
