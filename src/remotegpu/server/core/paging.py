"""Lists: page, size, sort and search, always in SQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from litestar.params import Parameter
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from remotegpu.server.core.errors import FieldProblem, InvalidError

T = TypeVar("T")
Rows = Select[*tuple[Any, ...]]
"""A query whose rows have any columns; each function that returns one says which."""
MAX_PAGE = 1_000_000
MAX_PAGE_SIZE = 200


class Page(msgspec.Struct, Generic[T], kw_only=True):
    """One page of a list. ``total`` counts all pages."""

    items: list[T]
    total: int
    page: int
    page_size: int


@dataclass(frozen=True)
class Paging:
    page: int
    page_size: int
    sort: str | None
    search: str | None


PageNumber = Annotated[int, Parameter(ge=1, le=MAX_PAGE, description="Page, from 1")]
PageSize = Annotated[int, Parameter(ge=1, le=MAX_PAGE_SIZE, description="Items on a page")]
Sort = Annotated[str | None, Parameter(max_length=40, description="Field to sort by; a leading - reverses")]
Search = Annotated[str | None, Parameter(max_length=100, description="Text to search for")]


def provide_paging(
    page: PageNumber = 1, page_size: PageSize = 50, sort: Sort = None, q: Search = None
) -> Paging:
    """Litestar dependency: the common query parameters of every list."""
    return Paging(page=page, page_size=page_size, sort=sort, search=_printable(q))


def _printable(text: str | None) -> str | None:
    """PostgreSQL cannot hold NUL in text; nothing can match it either."""
    return text.replace("\x00", "\ufffd") if text else None


def like(text: str) -> str:
    """``text`` as a substring pattern for ``ILIKE``, its wildcards taken literally (escape character ``\\``)."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


SortColumns = Mapping[str, InstrumentedAttribute[Any] | ColumnElement[Any]]  # Any: columns of any type sort


def order_by(paging: Paging, columns: SortColumns, default: str) -> list[Any]:
    """Order for ``paging.sort`` with the first column of ``columns`` (the key) as a stable tie-breaker."""
    wanted = paging.sort or default
    name = wanted.removeprefix("-")
    if name not in columns:
        raise InvalidError(
            f"cannot sort by {name!r}",
            errors=[FieldProblem("sort", name, "one of " + ", ".join(sorted(columns)))],
        )
    column, tie_breaker = columns[name], columns["id"]
    ordered = column.desc() if wanted.startswith("-") else column.asc()
    return [ordered.nulls_last(), tie_breaker]


async def fetch_page(
    session: AsyncSession, query: Rows, paging: Paging
) -> tuple[list[Any], int]:  # Any: row type of the query
    """Rows of the page, and the total over all pages."""
    total = await session.scalar(select(func.count()).select_from(query.order_by(None).subquery()))
    rows = await session.execute(query.limit(paging.page_size).offset((paging.page - 1) * paging.page_size))
    return list(rows.all()), total or 0
