"""Recording, sealing and verifying the audit trail.

Entries are written inside the transaction of the act they describe, without any lock, so that auditing never makes
acts wait for each other. A sealer then links them into a hash chain in the order (transaction, id), but only entries
of transactions that every snapshot sees as finished: an entry can never commit behind the sealed end.
"""

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.protocol import audit_trail
from remotegpu.protocol.audit_trail import GENESIS
from remotegpu.server.core import context
from remotegpu.server.core.context import RequestContext
from remotegpu.server.core.database import Sessions, transaction
from remotegpu.server.domains.audit.models import AuditLog, AuditSeal

SEAL_LOCK = 0x52475055
"""Advisory lock: one sealer at a time."""
SEAL_BATCH = 2_000
VERIFY_BATCH = 5_000


def record(
    tx: AsyncSession,
    action: str,
    resource_type: str,
    resource_id: object = "",
    *,
    outcome: str = "allowed",
    customer_id: uuid.UUID | None = None,
    actor_name: str | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Write one entry in the caller's transaction; actor, address and request id come from the request."""
    request = context.current()
    caller = request.caller
    tx.add(
        AuditLog(
            actor_id=caller.user_id if caller else request.machine_id,
            actor_name=actor_name or _actor(request),
            action=action,
            outcome=outcome,
            resource_type=resource_type,
            resource_id=str(resource_id),
            customer_id=customer_id or (caller.customer_id if caller else None),
            address=request.address,
            request_id=request.request_id,
            detail=detail or {},
        )
    )


def _actor(request: RequestContext) -> str:
    """Who acts: the signed-in person, an agent, whoever has not signed in, or the platform itself (no request)."""
    if request.caller is not None:
        return request.caller.email
    if request.machine_id is not None:
        return "agent"
    return "anonymous" if request.request_id else "system"


def entry_hash(previous: str, entry: AuditLog) -> str:
    """The link that follows ``previous``."""
    return audit_trail.entry_hash(
        previous, {column: getattr(entry, column) for column in audit_trail.SEALED_COLUMNS}
    )


async def seal(sessions: Sessions) -> int:
    """Link every finished, unsealed entry to the chain. Returns how many."""
    sealed = 0
    while (count := await _seal_batch(sessions)) > 0:
        sealed += count
        if count < SEAL_BATCH:
            break
    return sealed


async def _seal_batch(sessions: Sessions) -> int:
    async with transaction(sessions) as tx:
        if not await tx.scalar(select(func.pg_try_advisory_xact_lock(SEAL_LOCK))):
            return 0
        last = await tx.scalar(select(AuditSeal).order_by(AuditSeal.seq.desc()).limit(1))
        query = select(AuditLog).where(
            AuditLog.txid < text("pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        )
        if last is not None:
            query = query.where(tuple_(AuditLog.txid, AuditLog.id) > tuple_(last.txid, last.audit_id))
        entries = (await tx.scalars(query.order_by(AuditLog.txid, AuditLog.id).limit(SEAL_BATCH))).all()
        seq, previous = (last.seq, last.hash) if last else (0, GENESIS)
        for entry in entries:
            seq, previous = seq + 1, entry_hash(previous, entry)
            tx.add(AuditSeal(seq=seq, audit_id=entry.id, txid=entry.txid, hash=previous))
        return len(entries)


@dataclass(frozen=True)
class ChainReport:
    """``first_bad_seq``: the first link that does not hold. ``pending``: entries not sealed yet, seconds old."""

    ok: bool
    sealed: int
    pending: int
    first_bad_seq: int | None
    detail: str


async def verify(sessions: Sessions) -> ChainReport:
    """Recompute the whole chain from the entries, and look for entries that vanished or slipped in unsealed."""
    checked, previous = 0, GENESIS
    async with sessions() as tx:
        await tx.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        while rows := await _links_after(tx, checked):
            for link, entry in rows:
                problem = _problem(checked + 1, previous, link, entry)
                if problem:
                    return ChainReport(False, checked, 0, checked + 1, problem)
                checked, previous = link.seq, link.hash
            tx.expunge_all()
        total = await tx.scalar(select(func.count()).select_from(AuditLog)) or 0
        end = await tx.get(AuditSeal, checked) if checked else None
        pending = await _unsealed_after(tx, end)
    if checked + pending != total:
        return ChainReport(
            False,
            checked,
            pending,
            None,
            f"{total - checked - pending} entries lie before the sealed end but are not in the chain",
        )
    return ChainReport(
        True, checked, pending, None, f"{checked} entries verified, {pending} waiting to be sealed"
    )


async def _links_after(tx: AsyncSession, seq: int) -> list[tuple[AuditSeal, AuditLog | None]]:
    query = (
        select(AuditSeal, AuditLog)
        .outerjoin(AuditLog, AuditLog.id == AuditSeal.audit_id)
        .where(AuditSeal.seq > seq)
        .order_by(AuditSeal.seq)
        .limit(VERIFY_BATCH)
    )
    return [(link, entry) for link, entry in (await tx.execute(query)).all()]


def _problem(expected_seq: int, previous: str, link: AuditSeal, entry: AuditLog | None) -> str | None:
    if link.seq != expected_seq:
        return f"link {expected_seq} is missing, found {link.seq}"
    if entry is None:
        return f"entry {link.audit_id} was removed after it was sealed"
    if entry_hash(previous, entry) != link.hash:
        return f"entry {link.audit_id} was changed after it was sealed"
    return None


async def _unsealed_after(tx: AsyncSession, end: AuditSeal | None) -> int:
    query = select(func.count()).select_from(AuditLog)
    if end is not None:
        query = query.where(tuple_(AuditLog.txid, AuditLog.id) > tuple_(end.txid, end.audit_id))
    return await tx.scalar(query) or 0
