"""A customer: a company that leases machines."""

import uuid
from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from remotegpu.server.core.database import Base


class Customer(Base):
    """``company_code`` is unique and names the Linux account on leased machines (``rg-CODE``)."""

    __tablename__ = "customers"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    status: Mapped[str] = mapped_column(default="active")
    created_at: Mapped[datetime]
