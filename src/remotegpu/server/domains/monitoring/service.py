"""Counts for the first page, as the caller may see them."""

from datetime import timedelta

from redis.asyncio import Redis
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.server.core.context import Caller
from remotegpu.server.domains.access import repository as access
from remotegpu.server.domains.access.models import AccessSession
from remotegpu.server.domains.allocations import service as allocations
from remotegpu.server.domains.machines import repository as machine_rows
from remotegpu.server.domains.machines import samples
from remotegpu.server.domains.machines.models import Machine
from remotegpu.server.domains.monitoring.schemas import (
    AllocationCounts,
    GpuCounts,
    MachineCounts,
    Overview,
    SessionCounts,
    TaskCounts,
)
from remotegpu.server.domains.tasks.models import Task

BUSY_RATIO = 0.05


async def overview(tx: AsyncSession, redis: Redis, caller: Caller) -> Overview:
    """Everything of the first page in a handful of statements."""
    visible = machine_rows.machines(caller).with_only_columns(
        Machine.id, Machine.state, Machine.reachable, Machine.gpu_count, Machine.simulated
    )
    rows = (await tx.execute(visible)).all()
    active, ending = await allocations.counts(tx, caller, utc_now() + timedelta(days=7))
    states = [row.state for row in rows]
    return Overview(
        machines=MachineCounts(
            total=len(rows),
            online=states.count("online"),
            allocated=states.count("allocated"),
            reclaiming=states.count("reclaiming"),
            maintenance=states.count("maintenance"),
            quarantined=states.count("quarantined"),
            unreachable=sum(not row.reachable for row in rows),
        ),
        gpus=GpuCounts(
            total=sum(row.gpu_count for row in rows),
            leased=sum(row.gpu_count for row in rows if row.state == "allocated"),
            busy=await _busy(redis, [row.id for row in rows]),
        ),
        tasks=await _tasks(tx, caller),
        allocations=AllocationCounts(active=active, ending_7d=ending),
        sessions=SessionCounts(active=await _sessions(tx, caller)),
        simulated=any(row.simulated for row in rows),
    )


async def _busy(redis: Redis, machine_ids: list[object]) -> int:
    latest = await samples.latest(redis, machine_ids)  # pyright: ignore[reportArgumentType] - ids of rows
    return sum((gpu.utilization_ratio or 0) > BUSY_RATIO for sample in latest.values() for gpu in sample.gpus)


async def _tasks(tx: AsyncSession, caller: Caller) -> TaskCounts:
    since = utc_now() - timedelta(hours=24)
    recent = Task.finished_at > since
    query = select(
        func.count().filter(Task.state == "queued"),
        func.count().filter(Task.state.in_(("assigned", "running"))),
        func.count().filter(Task.state == "succeeded", recent),
        func.count().filter(Task.state.in_(("failed", "timed_out")), recent),
    ).where(recent | Task.finished_at.is_(None))
    if not caller.is_admin:
        query = query.where(Task.customer_id == caller.customer_id)
    queued, running, succeeded, failed = (await tx.execute(query)).one()
    return TaskCounts(queued=queued, running=running, succeeded_24h=succeeded, failed_24h=failed)


async def _sessions(tx: AsyncSession, caller: Caller) -> int:
    visible = access.sessions(caller).where(AccessSession.state.in_(access.OPEN)).subquery()
    return await tx.scalar(select(func.count()).select_from(visible)) or 0
