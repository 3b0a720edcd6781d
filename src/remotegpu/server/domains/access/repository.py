"""Reading sessions, filtered by who asks."""

import uuid
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.server.core.context import Caller
from remotegpu.server.core.paging import Rows
from remotegpu.server.domains.access.models import AccessSession
from remotegpu.server.domains.auth.models import User
from remotegpu.server.domains.machines.models import Machine

OPEN = ("connecting", "active")


def sessions(caller: Caller) -> Rows:
    """Rows of (AccessSession, user name, machine name) that ``caller`` may see; a member sees the own ones."""
    query = (
        select(AccessSession, User.display_name, Machine.name)
        .join(User, User.id == AccessSession.user_id)
        .join(Machine, Machine.id == AccessSession.machine_id)
    )
    if caller.is_admin:
        return query
    query = query.where(AccessSession.customer_id == caller.customer_id)
    return query if caller.role == "customer_owner" else query.where(AccessSession.user_id == caller.user_id)


_WAITING_STREAMS = (
    select(AccessSession)
    .where(
        AccessSession.machine_id == bindparam("on_machine"),
        AccessSession.state == "connecting",
        AccessSession.ending == "",
        AccessSession.started_at > bindparam("since"),
    )
    .order_by(AccessSession.id)
)


async def waiting_streams(tx: AsyncSession, machine_id: uuid.UUID, since: datetime) -> list[AccessSession]:
    """Sessions whose stream the agent has still to dial."""
    return list(await tx.scalars(_WAITING_STREAMS, {"on_machine": machine_id, "since": since}))


async def endings(tx: AsyncSession, session_ids: list[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Which of these sessions were told to end, and why."""
    query = select(AccessSession.id, AccessSession.ending).where(
        AccessSession.id.in_(session_ids), AccessSession.ending != ""
    )
    return {row[0]: row[1] for row in (await tx.execute(query)).all()}
