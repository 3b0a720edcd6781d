"""The ledger of schema changes: what was applied, when, how long it took, and from which file."""

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from remotegpu.server.core.database import Base


class SchemaLedger(Base):
    """One applied migration. ``contracts``: it removed what the code before it needs.

    ``checksum``: SHA-256 of its file. ``duration_ms`` is unknown for what was applied before there was a ledger.
    ``applied_by``: the release that applied it.
    """

    __tablename__ = "schema_ledger"

    revision: Mapped[str] = mapped_column(primary_key=True)
    phase: Mapped[str]
    contracts: Mapped[bool]
    checksum: Mapped[str]
    applied_at: Mapped[datetime] = mapped_column(server_default=func.now())
    duration_ms: Mapped[int | None]
    applied_by: Mapped[str]
