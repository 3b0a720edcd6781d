"""What Prometheus is told of the platform as a whole (``protocol.metrics``): counted in the database when it asks."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.protocol.sync import SYNC_WAIT_S
from remotegpu.server.domains.access.models import AccessSession
from remotegpu.server.domains.access.repository import OPEN
from remotegpu.server.domains.allocations.models import Allocation
from remotegpu.server.domains.customers.models import Customer
from remotegpu.server.domains.machines.models import Machine
from remotegpu.server.domains.tasks.models import Attempt, Task

LATE_AFTER = timedelta(seconds=2 * SYNC_WAIT_S)
"""An agent in good health is heard of at every poll; one that missed one and the next is late."""
UNFINISHED = ("queued", "assigned", "running")
ENDED = ("expired", "ended", "cancelled")


Figure = tuple[str, tuple[str, ...], float]
"""Name, values of its labels, value."""


async def read(tx: AsyncSession, now: datetime) -> list[Figure]:
    """All of them, from one snapshot."""
    machines = (await tx.execute(_machines())).all()
    return [
        *of_machines(machines, now),
        *await _by(tx, "remotegpu_tasks", Task.state, Task.state.in_(UNFINISHED)),
        *await _by(tx, "remotegpu_allocations", Allocation.state, Allocation.state.not_in(ENDED)),
        *await _by(tx, "remotegpu_sessions", AccessSession.protocol, AccessSession.state.in_(OPEN)),
        *await _single(tx, now),
    ]


def _machines() -> Any:  # Any: SQLAlchemy's type of a select of columns says nothing here
    holding = and_(Allocation.machine_id == Machine.id, Allocation.state.in_(("active", "expiring")))
    return (
        select(
            Machine.name,
            Machine.state,
            Machine.region,
            Machine.reachable,
            Machine.last_seen_at,
            Machine.clock_skew_s,
            Machine.agent_version,
            Machine.simulated,
            Machine.gpu_count,
            func.coalesce(Customer.name, "").label("customer"),
        )
        .outerjoin(Allocation, holding)
        .outerjoin(Customer, Customer.id == Allocation.customer_id)
        .order_by(Machine.name)
    )


def of_machines(rows: Iterable[Row[Any]], now: datetime) -> list[Figure]:  # Any: the columns of ``_machines``
    """Pure."""
    figures: list[Figure] = []
    states: dict[str, int] = {}
    heard: dict[str, int] = {"online": 0, "late": 0, "lost": 0}
    gpus: dict[str, int] = {"total": 0, "leased": 0}
    for row in rows:
        states[row.state] = states.get(row.state, 0) + 1
        gpus["total"] += row.gpu_count
        gpus["leased"] += row.gpu_count if row.customer else 0
        if row.last_seen_at is not None:
            heard[status(row.last_seen_at, now, reachable=row.reachable)] += 1
        figures += _of_machine(row)
    figures += [("remotegpu_machines", (state,), count) for state, count in sorted(states.items())]
    figures += [("remotegpu_agents", (one,), count) for one, count in heard.items()]
    return figures + [("remotegpu_gpus", (use,), count) for use, count in gpus.items()]


def status(last_seen: datetime, now: datetime, *, reachable: bool) -> str:
    """Of an agent. Pure."""
    if not reachable:
        return "lost"
    return "late" if now - last_seen > LATE_AFTER else "online"


def _of_machine(row: Row[Any]) -> list[Figure]:  # Any: same
    labels = (row.name, row.customer, row.region)
    figures: list[Figure] = [("remotegpu_node_gpus_expected", labels, row.gpu_count)]
    if row.last_seen_at is not None:
        seen = row.last_seen_at.timestamp()
        figures.append(("remotegpu_agent_last_heartbeat_timestamp_seconds", labels, seen))
        about = (row.name, row.agent_version, str(row.simulated).lower())
        figures.append(("remotegpu_agent_info", about, 1))
    if row.clock_skew_s is not None:
        figures.append(("remotegpu_agent_clock_skew_seconds", labels, row.clock_skew_s))
    return figures


async def _by(
    tx: AsyncSession, name: str, column: Any, which: Any
) -> list[Figure]:  # Any: a column, a condition
    rows = (
        await tx.execute(select(column, func.count()).where(which).group_by(column).order_by(column))
    ).all()
    return [(name, (value,), count) for value, count in rows]


async def _single(tx: AsyncSession, now: datetime) -> list[Figure]:
    oldest = await tx.scalar(select(func.min(Task.queued_at)).where(Task.state == "queued"))
    under_way = Attempt.state.in_(("assigned", "running"))
    overdue = select(func.count()).where(under_way, Attempt.lease_expires_at < now)
    soon = Allocation.ends_at < now + timedelta(days=7)
    ending = select(func.count()).where(Allocation.state.in_(("active", "expiring")), soon)
    return [
        ("remotegpu_task_queue_oldest_seconds", (), (now - oldest).total_seconds() if oldest else 0),
        ("remotegpu_attempts_lease_expired", (), await tx.scalar(overdue) or 0),
        ("remotegpu_allocations_ending_7d", (), await tx.scalar(ending) or 0),
    ]
