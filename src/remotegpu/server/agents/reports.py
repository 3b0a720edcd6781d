"""Taking in what agents report. What was taken in before costs no transaction."""

import uuid
from collections import OrderedDict
from collections.abc import Hashable
from datetime import timedelta
from typing import Generic, TypeVar

from remotegpu.protocol.attempts import AttemptReport
from remotegpu.protocol.inventory import HostSample
from remotegpu.protocol.sync import AccountReport, SyncRequest
from remotegpu.server.agents.heartbeats import Heartbeats
from remotegpu.server.core.database import transaction
from remotegpu.server.core.services import Services
from remotegpu.server.domains.allocations import ending
from remotegpu.server.domains.machines import samples
from remotegpu.server.domains.tasks import attempts as tasks

REMEMBER_MOST = 50_000

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """The latest value of each key, for the keys heard of last. Forgetting is always safe: it costs a transaction."""

    def __init__(self, most: int = REMEMBER_MOST) -> None:
        self._values: OrderedDict[K, V] = OrderedDict()
        self._most = most

    def get(self, key: K) -> V | None:
        return self._values.get(key)

    def put(self, key: K, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._most:
            self._values.popitem(last=False)

    def forget(self, key: K) -> None:
        self._values.pop(key, None)


class Reports:
    """One per process."""

    def __init__(self, services: Services, heartbeats: Heartbeats) -> None:
        self._services = services
        self._heartbeats = heartbeats
        self._lease = timedelta(seconds=services.settings.agents.lease_seconds)
        self._attempts: Remembered[uuid.UUID, tuple[uuid.UUID, str]] = Remembered()
        self._accounts: Remembered[tuple[uuid.UUID, str], tuple[str, str]] = Remembered()
        heartbeats.when_ended = self._attempts.forget

    async def take(self, machine_id: uuid.UUID, told: SyncRequest) -> list[str]:
        """Apply what is news; returns ids of attempts whose report was refused."""
        refused: list[str] = []
        news = False
        for report in told.attempts:
            accepted, changed = await self._take_attempt(machine_id, report)
            news = news or changed
            if not accepted:
                refused.append(report.attempt_id)
        for account in told.accounts:
            news = await self._take_account(machine_id, account) or news
        if news:
            await self._advance(machine_id, told.sample)
        return refused

    async def _take_attempt(self, machine_id: uuid.UUID, report: AttemptReport) -> tuple[bool, bool]:
        """Whether the report stands, and whether it ended something."""
        attempt_id = _uuid(report.attempt_id)
        if attempt_id is None:
            return False, False
        if self._attempts.get(attempt_id) == (machine_id, report.state):
            if report.state == "running":
                self._heartbeats.renew(attempt_id)
            return True, False
        async with transaction(self._services.sessions) as tx:
            accepted = await tasks.report(tx, machine_id, report, self._lease)
        if accepted:
            self._attempts.put(attempt_id, (machine_id, report.state))
        return accepted, accepted and report.state != "running"

    async def _take_account(self, machine_id: uuid.UUID, report: AccountReport) -> bool:
        """Whether it moves the end of a lease on."""
        allocation_id = _uuid(report.allocation_id)
        if allocation_id is None or report.state == "present":
            return False
        key, word = (machine_id, report.allocation_id), (report.state, report.detail)
        if self._accounts.get(key) == word:
            return False
        async with transaction(self._services.sessions) as tx:
            concerned, news = await ending.account_reported(tx, machine_id, allocation_id, report)
        if concerned:
            self._accounts.put(key, word)
        return news

    async def _advance(self, machine_id: uuid.UUID, sample: HostSample | None) -> None:
        latest = sample or (await samples.latest(self._services.redis, [machine_id])).get(machine_id)
        async with transaction(self._services.sessions) as tx:
            await ending.advance(tx, machine_id, latest)


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
