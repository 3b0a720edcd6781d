"""``Idempotency-Key``: a repeated request answers with the object the first one made, and makes nothing new."""

import hashlib
import uuid
from datetime import datetime
from typing import Annotated

import msgspec
from litestar.params import HeaderParameter
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from remotegpu.kit.clock import utc_now
from remotegpu.server.core.context import Caller
from remotegpu.server.core.database import Base
from remotegpu.server.core.errors import ConflictError
from remotegpu.server.core.patterns import AT_END

Key = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        max_length=100,
        pattern=rf"^[\x21-\x7e]+{AT_END}",
        description="Same key, same result: safe to retry",
    ),
]


KEY_LOCKS = 0x4944454D
"""First half of the advisory locks on keys; the second half is the key's hash."""


class IdempotencyKey(Base):
    __tablename__ = "idempotency_keys"

    user_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    resource_id: Mapped[uuid.UUID]
    created_at: Mapped[datetime] = mapped_column(index=True)


def _digest(body: object) -> str:
    return hashlib.sha256(msgspec.json.encode(body, order="sorted")).hexdigest()


async def earlier_result(tx: AsyncSession, caller: Caller, key: str | None, body: object) -> uuid.UUID | None:
    """Id of what this key made before. Raises :class:`ConflictError` when the key came with another body.

    Waits for a request with the same key that is still at work: its client may have given up on the answer and asked
    again, and must get that answer now.
    """
    if key is None:
        return None
    await tx.execute(select(func.pg_advisory_xact_lock(KEY_LOCKS, func.hashtext(f"{caller.user_id} {key}"))))
    row = await tx.scalar(select(IdempotencyKey).filter_by(user_id=caller.user_id, key=key))
    if row is None:
        return None
    if row.request_hash != _digest(body):
        raise ConflictError(
            "this Idempotency-Key was used before with another body; use a new key for a new request",
            code="idempotency_key_reused",
        )
    return row.resource_id


def remember(tx: AsyncSession, caller: Caller, key: str | None, body: object, resource_id: uuid.UUID) -> None:
    """Bind ``key`` to what was made, in the same transaction that made it."""
    if key is not None:
        tx.add(
            IdempotencyKey(
                user_id=caller.user_id,
                key=key,
                request_hash=_digest(body),
                resource_id=resource_id,
                created_at=utc_now(),
            )
        )
