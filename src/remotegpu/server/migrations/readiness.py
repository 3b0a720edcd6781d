"""Whether the database fits this code: at least at its newest ``pre`` revision, and not contracted beyond it."""

from collections.abc import Sequence
from functools import cache

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from remotegpu.server.migrations import chain
from remotegpu.server.migrations.chain import Chain
from remotegpu.server.migrations.choosing import is_newer

OK = "ok"
REMEDY = "run `remotegpu server migrate --phase pre`"


@cache
def known() -> Chain:
    """Read once: the files do not change under a running process."""
    return chain.read()


async def check(connection: AsyncConnection) -> str:
    """``ok``, or what is missing."""
    if not await connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL")):
        return verdict(known(), None, ())
    current = await connection.scalar(text("SELECT max(version_num) FROM alembic_version"))
    if current is None or any(revision.name == current for revision in known()):
        return verdict(known(), current, ())
    contracted = await connection.scalars(
        text("SELECT revision FROM schema_ledger WHERE contracts ORDER BY revision")
    )
    return verdict(known(), current, tuple(contracted))


def verdict(known: Chain, current: str | None, contracted: Sequence[str]) -> str:
    """``contracted``: applied revisions that contract, looked at when this code does not know ``current``."""
    names = [revision.name for revision in known]
    needed = next(revision.name for revision in reversed(known) if revision.phase == "pre")
    if current is None:
        return f"there is no schema yet, expected {needed}; {REMEDY}"
    if current in names:
        is_behind = names.index(current) < names.index(needed)
        return f"found {current}, expected {needed} or newer; {REMEDY}" if is_behind else OK
    beyond = [name for name in contracted if name not in names]
    if beyond:
        return f"{beyond[0]} removed what this version needs; run the version it belongs to, or a later one"
    if not is_newer(current, names):
        return f"found {current}, which this version does not know; run the version it belongs to, or a later one"
    return OK
