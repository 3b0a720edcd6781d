"""Allocations: who leases which machine, from when to when, and how the end went."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from remotegpu.server.core.database import Base

HOLDING = "state IN ('active', 'expiring', 'reclaiming')"


class Allocation(Base):
    """The partial unique index is the last word: one machine is never held twice, whatever the code above does."""

    __tablename__ = "allocations"
    __table_args__ = (
        Index("uq_allocations_one_holder", "machine_id", unique=True, postgresql_where=text(HOLDING)),
        Index("ix_allocations_customer_state", "customer_id", "state"),
        Index("ix_allocations_state_ends_at", "state", "ends_at"),
        CheckConstraint("ends_at > starts_at", name="ends_after_start"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    machine_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("machines.id"), index=True)
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("customers.id"))
    state: Mapped[str]
    account: Mapped[str]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str] = mapped_column(default="")
    note: Mapped[str] = mapped_column(default="")
    account_wiped: Mapped[bool] = mapped_column(default=False)
    account_detail: Mapped[str] = mapped_column(default="")
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]


class ReclaimStep(Base):
    """One step of an end, in ``position`` order."""

    __tablename__ = "reclaim_steps"

    allocation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("allocations.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    status: Mapped[str]
    detail: Mapped[str] = mapped_column(default="")
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
