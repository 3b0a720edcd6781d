"""Sessions: opening, activating, ending. A session's state changes in one function."""

import uuid
from datetime import datetime

from sqlalchemy import and_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.server.core.context import Caller
from remotegpu.server.core.errors import ConflictError
from remotegpu.server.core.hub import announce
from remotegpu.server.core.signals import Ended
from remotegpu.server.domains.access import repository
from remotegpu.server.domains.access.models import AccessSession
from remotegpu.server.domains.access.schemas import SessionView
from remotegpu.server.domains.allocations import ending
from remotegpu.server.domains.allocations import repository as leases
from remotegpu.server.domains.allocations.models import Allocation
from remotegpu.server.domains.audit import service as audit
from remotegpu.server.domains.auth.models import User
from remotegpu.server.domains.customers.models import Customer
from remotegpu.server.domains.machines import repository as machine_rows
from remotegpu.server.domains.machines import service as machines

CLOSE_TOPIC = "session-end"
"""Hub topic that tells the instance holding a session to close it."""


def view(row: tuple[AccessSession, str, str]) -> SessionView:
    session, user_name, machine_name = row
    same = {
        name: getattr(session, name)
        for name in SessionView.__struct_fields__
        if name not in {"user_name", "machine_name"}
    }
    return SessionView(**same, user_name=user_name, machine_name=machine_name)


async def open_session(
    tx: AsyncSession,
    caller: Caller,
    machine_id: uuid.UUID,
    *,
    session_id: uuid.UUID,
    protocol: str,
    instance: str,
    address: str,
) -> tuple[AccessSession, Allocation]:
    """A connecting session on a machine leased to the caller; the machine's agent is woken to dial its stream.

    The machine is locked first: a lease that ends at this moment ends before, or with this session on its list.
    """
    await leases.usable(tx, caller, machine_id)
    tx.expire_all()
    machine = await machine_rows.lock(tx, machine_id)
    allocation = await leases.usable(tx, caller, machine_id)
    if not machine.reachable:
        raise ConflictError(
            f"{machine.name} is unreachable; its tasks go on, access returns with it",
            code="machine_unreachable",
        )
    session = AccessSession(
        id=session_id,
        protocol=protocol,
        state="connecting",
        machine_id=machine_id,
        allocation_id=allocation.id,
        customer_id=allocation.customer_id,
        user_id=caller.user_id,
        credential=caller.credential,
        instance=instance,
        remote_address=address,
        started_at=utc_now(),
    )
    tx.add(session)
    audit.record(
        tx,
        "session.open",
        "session",
        session.id,
        customer_id=session.customer_id,
        detail={"protocol": protocol, "machine_id": str(machine_id), "machine": machine.name},
    )
    await tx.flush()
    await machines.bump(tx, machine_id)
    _announce(tx, session)
    return session, allocation


async def set_state(
    tx: AsyncSession,
    session_id: uuid.UUID,
    wanted: str,
    *,
    reason: str = "",
    bytes_in: int = 0,
    bytes_out: int = 0,
) -> bool:
    """The one place where a session changes its state. A closed one stays closed. Returns whether it changed."""
    session = await tx.get(AccessSession, session_id, with_for_update=True, populate_existing=True)
    if session is None or session.state not in repository.OPEN or (wanted == "active" and session.ending):
        return False
    session.state = wanted
    if wanted != "active":
        session.ended_at, session.end_reason = utc_now(), reason[:500]
        session.bytes_in, session.bytes_out = bytes_in, bytes_out
        audit.record(
            tx,
            f"session.{wanted}",
            "session",
            session.id,
            customer_id=session.customer_id,
            detail={"reason": reason[:500], "bytes_in": bytes_in, "bytes_out": bytes_out},
        )
    _announce(tx, session)
    await tx.flush()
    return True


@ending.on_end
async def end_sessions_of(tx: AsyncSession, allocation: Allocation, reason: str) -> None:
    """A lease has ended: every open session on it is told to close."""
    await _end(tx, AccessSession.allocation_id == allocation.id, f"the lease has ended: {reason}")


async def end_sessions_of_user(tx: AsyncSession, user_id: uuid.UUID, reason: str) -> None:
    """A person was switched off: every open session of theirs is told to close."""
    await _end(tx, AccessSession.user_id == user_id, reason)


async def end_sessions_of_credentials(tx: AsyncSession, ended: Ended) -> None:
    """What somebody was let in with is gone: every open session that was opened with it is told to close."""
    opened_with_it = AccessSession.credential.startswith(ended.prefix, autoescape=True)
    whose = true() if ended.user_id is None else AccessSession.user_id == ended.user_id
    await _end(tx, and_(whose, opened_with_it), ended.reason)


async def end_sessions_without_right(tx: AsyncSession, customer_id: uuid.UUID) -> None:
    """Members of a customer changed: close what disabled people, or all people of a suspended customer, have open."""
    suspended = await tx.scalar(select(Customer.status).where(Customer.id == customer_id)) != "active"
    people = select(User.id).where(User.customer_id == customer_id)
    if not suspended:
        people = people.where(User.disabled.is_(True))
    for user_id in await tx.scalars(people):
        await end_sessions_of_user(tx, user_id, "the account was switched off")


async def _end(tx: AsyncSession, which: object, reason: str) -> None:
    told = await tx.scalars(
        update(AccessSession)
        .where(which, AccessSession.state.in_(repository.OPEN))  # pyright: ignore[reportArgumentType] - a column expression
        .values(ending=reason)
        .returning(AccessSession.id)
    )
    for session_id in told:
        announce(tx, CLOSE_TOPIC, session_id, body=reason)


async def instances_with_sessions(tx: AsyncSession) -> set[str]:
    """Names of the server processes that hold, or held, the sessions that are open."""
    query = select(AccessSession.instance).where(AccessSession.state.in_(repository.OPEN)).distinct()
    return set(await tx.scalars(query))


async def lose_sessions_of(tx: AsyncSession, instance: str, *, before: datetime, reason: str) -> None:
    """Open sessions of a server process that is gone are lost: those that began ``before``."""
    query = select(AccessSession.id).where(
        AccessSession.state.in_(repository.OPEN),
        AccessSession.instance == instance,
        AccessSession.started_at < before,
    )
    for session_id in (await tx.scalars(query)).all():
        await set_state(tx, session_id, "lost", reason=reason)


def _announce(tx: AsyncSession, session: AccessSession) -> None:
    announce(tx, "sessions", session.id, [str(session.customer_id)])
