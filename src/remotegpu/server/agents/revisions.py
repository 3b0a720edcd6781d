"""Reading revisions of many machines at once: polls that ask in the same moment share one statement."""

import asyncio
import uuid

import msgspec
from sqlalchemy import ARRAY, Uuid, any_, bindparam, select

from remotegpu.server.core.services import Services
from remotegpu.server.domains.machines.models import Machine


class Known(msgspec.Struct, frozen=True):
    """What a poll needs to know of its machine."""

    revision: int
    inventory_hash: str
    state: str


_READ = select(Machine.id, Machine.revision, Machine.inventory_hash, Machine.state).where(
    Machine.id == any_(bindparam("ids", type_=ARRAY(Uuid)))
)
"""Built once: it runs hundreds of times a second."""


class Revisions:
    """Batches look-ups. While one statement runs, the next batch gathers. One per process."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._asked: dict[uuid.UUID, asyncio.Future[Known | None]] = {}
        self._runner: asyncio.Task[None] | None = None

    async def get(self, machine_id: uuid.UUID) -> Known | None:
        """The machine as of now (a statement started after this call); None when it was deleted."""
        future = self._asked.get(machine_id)
        if future is None:
            future = asyncio.get_running_loop().create_future()
            self._asked[machine_id] = future
            if self._runner is None or self._runner.done():
                self._runner = asyncio.create_task(self._run(), name="read-revisions")
        return await asyncio.shield(future)

    async def _run(self) -> None:
        while self._asked:
            batch, self._asked = self._asked, {}
            try:
                found = await self._read(list(batch))
            except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who asked
                _fail(batch, error)
                continue
            for machine_id, future in batch.items():
                if not future.done():
                    future.set_result(found.get(machine_id))

    async def _read(self, machine_ids: list[uuid.UUID]) -> dict[uuid.UUID, Known]:
        async with self._services.sessions() as tx:
            rows = await tx.execute(_READ, {"ids": machine_ids})
            return {row[0]: Known(row[1], row[2], row[3]) for row in rows.all()}


def _fail(batch: dict[uuid.UUID, asyncio.Future[Known | None]], error: Exception) -> None:
    for future in batch.values():
        if not future.done():
            future.set_exception(error)
