"""Audit tables, append-only: the application role may INSERT and SELECT, nothing else; a trigger backs it."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from remotegpu.server.core.database import Base


class AuditLog(Base):
    """One act or refusal. ``txid`` orders entries by transaction, so that sealing never misses a late commit."""

    __tablename__ = "audit_logs"
    __table_args__ = (
        Index("ix_audit_logs_txid_id", "txid", "id"),
        Index("ix_audit_logs_at", "at"),
        Index("ix_audit_logs_resource", "resource_type", "resource_id"),
        Index("ix_audit_logs_actor_id", "actor_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    txid: Mapped[int] = mapped_column(BigInteger, server_default=text("pg_current_xact_id()::text::bigint"))
    actor_id: Mapped[uuid.UUID | None]
    actor_name: Mapped[str]
    action: Mapped[str]
    outcome: Mapped[str]
    resource_type: Mapped[str]
    resource_id: Mapped[str]
    customer_id: Mapped[uuid.UUID | None]
    address: Mapped[str]
    request_id: Mapped[str]
    detail: Mapped[dict[str, Any]]  # Any: whatever describes the act; JSON


class AuditSeal(Base):
    """Link ``seq`` of the hash chain: SHA-256 over the previous hash and the sealed entry."""

    __tablename__ = "audit_seals"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    audit_id: Mapped[int] = mapped_column(BigInteger, unique=True)
    txid: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str]
