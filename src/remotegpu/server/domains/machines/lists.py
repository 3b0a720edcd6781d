"""Pages of machines, encoded once for everybody who asks for the same within a moment."""

import contextlib
import uuid
from collections.abc import Generator
from typing import Any

import msgspec
from sqlalchemy.orm import defer

from remotegpu.server.core.context import Caller
from remotegpu.server.core.paging import Page, Paging, SortColumns, fetch_page, order_by
from remotegpu.server.core.recent import Recent
from remotegpu.server.core.services import Services
from remotegpu.server.domains.machines import repository, samples, service
from remotegpu.server.domains.machines.models import Machine
from remotegpu.server.domains.machines.schemas import MachineView

REMEMBER_SECONDS = 1.0
"""How old live figures may be; heartbeats are written as often."""
REMEMBER_MOST = 64
CHANGES = ("machines", "allocations", "customers")
"""Hub topics of what a page shows, beside the live figures."""
SORTABLE: SortColumns = {
    name: getattr(Machine, name)
    for name in (
        "id",
        "name",
        "state",
        "gpu_count",
        "gpu_model",
        "region",
        "last_seen_at",
        "created_at",
        "reachable",
    )
}

_encoder = msgspec.json.Encoder()


class MachineLists:
    """One per process. A change in any server process drops all pages before it is acknowledged there."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._recent: Recent[tuple[object, ...], bytes] = Recent(REMEMBER_SECONDS, REMEMBER_MOST)

    async def page(self, caller: Caller, paging: Paging, filters: dict[str, Any]) -> bytes:
        """A ``Page[MachineView]`` as JSON. What it shows depends on the caller's company only."""
        sees: uuid.UUID | None = None if caller.is_admin else caller.customer_id
        key = (caller.is_admin, sees, paging, *sorted(filters.items()))
        return await self._recent.get(key, lambda: self._make(caller, paging, filters))

    @contextlib.contextmanager
    def listening(self) -> Generator[None]:
        """Drop pages as soon as any server process says that something they show has changed."""
        with self._services.hub.listening_to(CHANGES, self._recent.forget):
            yield

    async def _make(self, caller: Caller, paging: Paging, filters: dict[str, Any]) -> bytes:
        query = repository.matching(repository.machines(caller), paging.search, filters)
        query = query.options(defer(Machine.inventory))  # kilobytes each, and no list shows them
        async with self._services.sessions() as tx:
            rows, total = await fetch_page(tx, query.order_by(*order_by(paging, SORTABLE, "name")), paging)
        live = await samples.latest(self._services.redis, [row[0].id for row in rows])
        items: list[MachineView] = [service.view(row, live.get(row[0].id)) for row in rows]
        return _encoder.encode(Page(items=items, total=total, page=paging.page, page_size=paging.page_size))
