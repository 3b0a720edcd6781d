"""Inventory and samples: taken in threads, kept until the server has them."""

import asyncio
import time
from collections.abc import Callable

import structlog

from remotegpu.agent import inventory
from remotegpu.agent.gpus import GpuAdapter, GpuError
from remotegpu.protocol.inventory import HostSample, Inventory
from remotegpu.protocol.sync import DesiredState

INVENTORY_INTERVAL_S = 300.0
INVENTORY_RETRY_S = 30.0
SHORTEST_INTERVAL_S = 0.5

log = structlog.get_logger()


class Measurements:
    """What the host is and how it does. ``news`` is called when there is something to send."""

    def __init__(
        self, gpus: GpuAdapter, *, ssh_host_key: str, isolation: str, news: Callable[[], None]
    ) -> None:
        self._gpus = gpus
        self._ssh_host_key = ssh_host_key
        self._isolation = isolation
        self._news = news
        self._inventory: Inventory | None = None
        self._acknowledged_hash = ""
        self._sample: HostSample | None = None
        self._interval_s = DesiredState(revision=0).sample_interval_s
        self._interval_changed = asyncio.Event()
        self.inventory_hash = ""

    async def run(self) -> None:
        """Measure for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take_inventories())
            group.create_task(self._take_samples())

    def follow(self, desired: DesiredState) -> None:
        """Use the interval the server asks for, at once when it became shorter."""
        interval_s = max(SHORTEST_INTERVAL_S, desired.sample_interval_s)
        if interval_s < self._interval_s:
            self._interval_changed.set()
        self._interval_s = interval_s

    def inventory_to_send(self) -> Inventory | None:
        """The inventory, unless the server has this one."""
        return None if self.inventory_hash == self._acknowledged_hash else self._inventory

    def inventory_answered(self, sent_hash: str, *, wanted: bool) -> None:
        """The server answered a report that named ``sent_hash``."""
        self._acknowledged_hash = "" if wanted else sent_hash

    def take_sample(self) -> HostSample | None:
        """The latest sample, once."""
        taken, self._sample = self._sample, None
        return taken

    async def _take_inventories(self) -> None:
        while True:
            complete = await self.refresh_inventory()
            await asyncio.sleep(INVENTORY_INTERVAL_S if complete else INVENTORY_RETRY_S)

    async def refresh_inventory(self) -> bool:
        """Look again. False when the GPUs cannot be read now."""
        try:
            found = await asyncio.to_thread(
                inventory.collect, self._gpus, ssh_host_key=self._ssh_host_key, isolation=self._isolation
            )
        except GpuError as error:
            log.warning("inventory not complete", detail=str(error))
            return False
        self._inventory = found
        fingerprint = inventory.inventory_hash(found)
        if fingerprint != self.inventory_hash:
            self.inventory_hash = fingerprint
            self._news()
        return True

    async def _take_samples(self) -> None:
        while True:
            self._sample = await asyncio.to_thread(inventory.sample, self._gpus, time.time)
            self._news()
            self._interval_changed.clear()
            try:
                await asyncio.wait_for(self._interval_changed.wait(), self._interval_s)
            except TimeoutError:
                continue
