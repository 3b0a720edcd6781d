"""The secrets that let machines in: join tokens, the node tokens they are exchanged for, and rotating those."""

import uuid
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.kit.ids import new_secret, secret_hash, uuid7
from remotegpu.protocol.enrolment import EnrolRequest
from remotegpu.server.core.context import Caller
from remotegpu.server.core.errors import ConflictError, FieldProblem, NotAuthenticatedError, NotFoundError
from remotegpu.server.core.hub import announce
from remotegpu.server.domains.audit import service as audit
from remotegpu.server.domains.machines import repository, service
from remotegpu.server.domains.machines.models import JoinToken, Machine, NodeToken
from remotegpu.server.domains.machines.schemas import JoinTokenCreate, JoinTokenView

JOIN_PREFIX = "rgj_"
NODE_PREFIX = "rgn_"
ROTATION_OVERLAP = timedelta(hours=1)


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
    service.apply_inventory(machine, body.inventory, "")
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
    await tx.execute(delete(NodeToken).where(NodeToken.machine_id == machine_id, NodeToken.expires_at <= now))
    secret = issue_node_token(tx, machine_id, now)
    await tx.execute(update(Machine).where(Machine.id == machine_id).values(rotation_requested=False))
    audit.record(tx, "machine.token_rotate", "machine", machine_id)
    announce(tx, service.TOKENS_TOPIC, service.ALL_TOKENS, body=str(machine_id))
    await service.bump(tx, machine_id)
    return secret, int(ROTATION_OVERLAP.total_seconds())


async def request_rotation(tx: AsyncSession, machine_id: uuid.UUID) -> None:
    """Ask the agent, through its desired state, to take a new token."""
    machine = await repository.lock(tx, machine_id)
    machine.rotation_requested = True
    audit.record(tx, "machine.token_rotation_requested", "machine", machine_id)
    await tx.flush()
    await service.bump(tx, machine_id)


_OF_TOKEN = (
    select(Machine.id, Machine.name, NodeToken.expires_at)
    .join(NodeToken, NodeToken.machine_id == Machine.id)
    .where(
        NodeToken.token_hash == bindparam("digest"),
        or_(NodeToken.expires_at.is_(None), NodeToken.expires_at > bindparam("now")),
    )
)
"""Built once: a whole fleet asks it when a server starts."""


async def machine_of_token(tx: AsyncSession, token: str) -> tuple[uuid.UUID, str, datetime | None]:
    """Id and name of the machine behind a node token, and when that token ends."""
    row = (await tx.execute(_OF_TOKEN, {"digest": secret_hash(token), "now": utc_now()})).first()
    if row is None:
        raise NotAuthenticatedError(
            "this node token is unknown, expired or revoked; enrol the machine again",
            code="node_token_refused",
        )
    return row[0], row[1], row[2]
