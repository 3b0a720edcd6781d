"""``/audit``: the trail, for admins."""

import uuid
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Literal

from litestar import Router, get
from litestar.params import Parameter
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.server.core.guards import ADMIN
from remotegpu.server.core.paging import Page, Paging, fetch_page, like, order_by
from remotegpu.server.core.patterns import NO_NUL, WITHOUT_NUL
from remotegpu.server.core.services import Services
from remotegpu.server.domains.audit import service
from remotegpu.server.domains.audit.models import AuditLog, AuditSeal
from remotegpu.server.domains.audit.schemas import AuditEntry, ChainVerification

SORTABLE = {"id": AuditLog.id, "at": AuditLog.at}
Text = Annotated[str | None, Parameter(max_length=200, pattern=WITHOUT_NUL, description=NO_NUL)]


@get("/audit", guards=[ADMIN])
async def list_audit(
    tx: AsyncSession,
    paging: Paging,
    actor: uuid.UUID | None = None,
    action: Text = None,
    outcome: Literal["allowed", "denied"] | None = None,
    resource_type: Text = None,
    resource_id: Text = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page[AuditEntry]:
    """The trail, newest first."""
    exact = {
        "actor_id": actor,
        "action": action,
        "outcome": outcome,
        "resource_type": resource_type,
        "resource_id": resource_id,
    }
    query = select(AuditLog, AuditSeal.hash).filter_by(
        **{name: value for name, value in exact.items() if value is not None}
    )
    query = query.outerjoin(AuditSeal, AuditSeal.audit_id == AuditLog.id)
    if since:
        query = query.where(AuditLog.at >= since)
    if until:
        query = query.where(AuditLog.at < until)
    if paging.search:
        pattern = like(paging.search)
        query = query.where(
            or_(
                *(
                    column.ilike(pattern)
                    for column in (AuditLog.actor_name, AuditLog.action, AuditLog.resource_id)
                )
            )
        )
    rows, total = await fetch_page(tx, query.order_by(*order_by(paging, SORTABLE, "-id")), paging)
    return Page(
        items=[_entry(row, seal) for row, seal in rows],
        total=total,
        page=paging.page,
        page_size=paging.page_size,
    )


@get("/audit/verify", guards=[ADMIN])
async def verify_audit(services: Services) -> ChainVerification:
    """Recompute the whole hash chain."""
    await service.seal(services.sessions)
    return ChainVerification(**asdict(await service.verify(services.sessions)))


def _entry(row: AuditLog, seal: str | None) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at=row.at,
        actor_id=row.actor_id,
        actor_name=row.actor_name,
        action=row.action,
        outcome=row.outcome,
        resource_type=row.resource_type,
        resource_id=row.resource_id,
        customer_id=row.customer_id,
        address=row.address,
        request_id=row.request_id,
        detail=row.detail,
        sealed=seal is not None,
        hash=seal,
    )


router = Router(path="/", route_handlers=[list_audit, verify_audit], tags=["audit"])
