"""Remote access sessions: who used which machine, from where, how much, and why it ended."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from remotegpu.server.core.database import Base


class AccessSession(Base):
    """``instance``: the server process that holds the connection. ``ending``: it was told to close it, and why.

    ``credential``: with what it was opened, as ``auth.credentials`` names it.
    """

    __tablename__ = "access_sessions"
    __table_args__ = (
        Index(
            "ix_access_sessions_open",
            "machine_id",
            postgresql_where=text("state IN ('connecting', 'active')"),
        ),
        Index("ix_access_sessions_customer", "customer_id", "started_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    protocol: Mapped[str]
    state: Mapped[str]
    machine_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("machines.id"))
    allocation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("allocations.id"))
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("customers.id"))
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), index=True)
    credential: Mapped[str] = mapped_column(server_default="")
    instance: Mapped[str]
    remote_address: Mapped[str]
    ending: Mapped[str] = mapped_column(default="")
    bytes_in: Mapped[int] = mapped_column(default=0)
    bytes_out: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str] = mapped_column(default="")
