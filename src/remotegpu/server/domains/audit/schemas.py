"""Bodies of the audit routes."""

import uuid
from datetime import datetime
from typing import Any

import msgspec


class AuditEntry(msgspec.Struct, kw_only=True):
    """``sealed``: part of the hash chain; ``hash``: its link."""

    id: int
    at: datetime
    actor_id: uuid.UUID | None
    actor_name: str
    action: str
    outcome: str
    resource_type: str
    resource_id: str
    customer_id: uuid.UUID | None
    address: str
    request_id: str
    detail: dict[str, Any]  # Any: JSON written by the act
    sealed: bool
    hash: str | None


class ChainVerification(msgspec.Struct, kw_only=True):
    ok: bool
    sealed: int
    pending: int
    first_bad_seq: int | None
    detail: str
