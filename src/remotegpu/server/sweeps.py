"""What the worker does again and again. Each sweep reads what is due and acts on each item in its own transaction.

Level-triggered and guarded by row locks: a sweep that dies half-way, or two workers at once, do no harm.
"""

import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import delete
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.server.core.database import transaction
from remotegpu.server.core.errors import RemoteGPUError
from remotegpu.server.core.idempotency import IdempotencyKey
from remotegpu.server.core.services import Services
from remotegpu.server.domains.access import instances
from remotegpu.server.domains.allocations import ending
from remotegpu.server.domains.allocations import service as allocations
from remotegpu.server.domains.audit import service as audit
from remotegpu.server.domains.machines import samples
from remotegpu.server.domains.machines import service as machines
from remotegpu.server.domains.tasks import attempts, logs, scheduling

KEYS_KEPT = timedelta(days=2)
HEARD_SECONDS = 60.0
"""Agents of a server that was away come back within seconds; before this long their silence says nothing."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Sweep:
    name: str
    every_seconds: float
    run: Callable[[Services], Awaitable[None]]


async def _each(
    services: Services,
    items: Iterable[uuid.UUID],
    act: Callable[[AsyncSession, uuid.UUID], Awaitable[object]],
) -> list[uuid.UUID]:
    """Act on every item in a transaction of its own; one that fails does not hold up the others. Returns the rest."""
    done: list[uuid.UUID] = []
    for item in items:
        try:
            async with transaction(services.sessions) as tx:
                await act(tx, item)
            done.append(item)
        except (SQLAlchemyError, RemoteGPUError) as error:
            log.warning("not done yet, trying again", item=str(item), error=str(error)[:300])
    return done


async def seal_audit(services: Services) -> None:
    """Link new audit entries to the hash chain."""
    await audit.seal(services.sessions)


async def move_allocations(services: Services) -> None:
    """Start leases whose time has come, end those whose time is over, carry on with reclaims."""
    async with services.sessions() as tx:
        starting, over, reclaiming = await allocations.due(tx, utc_now())
    await _each(services, over, ending.end_due)
    latest = await samples.latest(services.redis, reclaiming)
    await _each(services, reclaiming, lambda tx, machine: ending.advance(tx, machine, latest.get(machine)))
    await _each(services, starting, allocations.start_due)


class Expiry:
    """Gives up attempts whose lease ran out, and closes their logs. One per worker.

    The logs still to be closed are remembered until that has worked, and looked up once: an earlier worker may have
    died in between.
    """

    def __init__(self) -> None:
        self._open_logs: set[uuid.UUID] | None = None

    async def run(self, services: Services) -> None:
        """Attempts whose lease ran out are lost: another try, or failed. What there is of their logs is kept.

        Silent machines are marked first, so that the other try waits for them.
        """
        await mark_unreachable(services)
        if self._open_logs is None:
            async with services.sessions() as tx:
                self._open_logs = await attempts.lost_with_open_logs(tx)
        lease = timedelta(seconds=services.settings.agents.lease_seconds)
        if await instances.heard_for(services) >= min(lease.total_seconds(), HEARD_SECONDS):
            self._open_logs.update(await _expire(services, lease))
        for attempt_id in list(self._open_logs):
            await logs.settle(services, attempt_id)
            self._open_logs.discard(attempt_id)


async def _expire(services: Services, lease: timedelta) -> list[uuid.UUID]:
    """Returns the attempts that were looked at: lost, unless their agent came back in the last moment."""
    async with services.sessions() as tx:
        machine_of = dict(await attempts.expired(tx, utc_now()))
    return await _each(
        services, machine_of, lambda tx, attempt: attempts.lose(tx, attempt, machine_of[attempt], lease)
    )


async def place_tasks(services: Services) -> None:
    """Start queued tasks whose back-off is over, and any that a crash left waiting."""
    lease = timedelta(seconds=services.settings.agents.lease_seconds)
    async with services.sessions() as tx:
        waiting = await scheduling.machines_with_due_tasks(tx, utc_now())
    await _each(services, waiting, lambda tx, machine: scheduling.place_on(tx, machine, lease))


async def mark_unreachable(services: Services) -> None:
    """Machines nobody heard of for a while are unreachable; their state stays."""
    after = services.settings.agents.unreachable_after_seconds
    if await instances.heard_for(services) >= after:
        async with transaction(services.sessions) as tx:
            await machines.mark_unreachable(tx, timedelta(seconds=after))


async def forget_keys(services: Services) -> None:
    """Idempotency keys are kept for two days."""
    async with transaction(services.sessions) as tx:
        await tx.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < utc_now() - KEYS_KEPT))


def all_sweeps() -> tuple[Sweep, ...]:
    """For one worker."""
    return (
        Sweep("seal audit", 1.0, seal_audit),
        Sweep("move allocations", 2.0, move_allocations),
        Sweep("place tasks", 1.0, place_tasks),
        Sweep("expire attempts", 3.0, Expiry().run),
        Sweep("mark unreachable", 5.0, mark_unreachable),
        Sweep("lose sessions", 3.0, instances.Missing().lose_sessions),
        Sweep("forget idempotency keys", 3600.0, forget_keys),
    )
