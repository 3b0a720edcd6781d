"""Machines, the tokens that let them in, and the facts they report."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from remotegpu.server.core.database import Base


class Machine(Base):
    """A GPU host. ``state`` and ``reachable`` are separate facts; ``revision`` numbers its desired state.

    ``gpu_count`` … ``memory_bytes`` repeat facts of ``inventory`` so that lists filter and sort in SQL.
    """

    __tablename__ = "machines"
    __table_args__ = (Index("ix_machines_state", "state"), Index("ix_machines_last_seen_at", "last_seen_at"))

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    maintenance: Mapped[bool] = mapped_column(default=False)
    region: Mapped[str] = mapped_column(default="")
    revision: Mapped[int] = mapped_column(default=1)
    applied_revision: Mapped[int] = mapped_column(default=0)
    reachable: Mapped[bool] = mapped_column(default=False)
    reachability_since: Mapped[datetime | None]
    last_seen_at: Mapped[datetime | None]
    clock_skew_s: Mapped[float | None]
    agent_version: Mapped[str] = mapped_column(default="")
    protocol_version: Mapped[str] = mapped_column(default="")
    boot_id: Mapped[str] = mapped_column(default="")
    inventory: Mapped[dict[str, Any] | None]  # Any: protocol.Inventory as JSON
    inventory_hash: Mapped[str] = mapped_column(default="")
    simulated: Mapped[bool] = mapped_column(default=False)
    isolation: Mapped[str] = mapped_column(default="")
    gpu_count: Mapped[int] = mapped_column(default=0)
    gpu_model: Mapped[str] = mapped_column(default="")
    gpu_memory_bytes: Mapped[int] = mapped_column(default=0)
    cpu_threads: Mapped[int] = mapped_column(default=0)
    memory_bytes: Mapped[int] = mapped_column(default=0)
    os: Mapped[str] = mapped_column(default="")
    driver_version: Mapped[str] = mapped_column(default="")
    rotation_requested: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]


class NodeToken(Base):
    """A machine's own token, as SHA-256. Two are valid at once during a rotation."""

    __tablename__ = "node_tokens"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    machine_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("machines.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]


class JoinToken(Base):
    """Lets ``max_uses`` machines enrol until ``expires_at``."""

    __tablename__ = "join_tokens"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    token_hash: Mapped[str] = mapped_column(unique=True)
    max_uses: Mapped[int]
    uses: Mapped[int] = mapped_column(default=0)
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    created_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
