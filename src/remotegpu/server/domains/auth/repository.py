"""Reading people, with the name of their company."""

import uuid

from sqlalchemy import column, select, table
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.server.core.paging import Rows
from remotegpu.server.domains.auth.models import AccessToken, User

customers = table("customers", column("id"), column("name"), column("status"))
"""Only these columns, so that auth does not depend on the customers domain above it."""


def users() -> Rows:
    """Rows of (User, company name, company status)."""
    return select(User, customers.c.name, customers.c.status).outerjoin(
        customers, customers.c.id == User.customer_id
    )


async def find_user(tx: AsyncSession, user_id: uuid.UUID) -> tuple[User, str | None, str | None] | None:
    row = (await tx.execute(users().where(User.id == user_id))).first()
    return (row[0], row[1], row[2]) if row else None


async def find_by_email(tx: AsyncSession, email: str) -> tuple[User, str | None, str | None] | None:
    row = (await tx.execute(users().where(User.email == email.lower()))).first()
    return (row[0], row[1], row[2]) if row else None


async def find_by_token(tx: AsyncSession, token_hash: str) -> tuple[User, AccessToken, str | None] | None:
    query = (
        select(User, AccessToken, customers.c.status)
        .join(AccessToken, AccessToken.user_id == User.id)
        .outerjoin(customers, customers.c.id == User.customer_id)
        .where(AccessToken.token_hash == token_hash)
    )
    row = (await tx.execute(query)).first()
    return (row[0], row[1], row[2]) if row else None
