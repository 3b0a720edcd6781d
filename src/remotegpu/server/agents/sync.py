"""The long poll: take in what is, answer what should be as soon as that changes."""

import asyncio
import contextlib
import random
import uuid
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.protocol.attempts import AttemptReport
from remotegpu.protocol.inventory import HostSample
from remotegpu.protocol.sync import SYNC_WAIT_S, AccountReport, DesiredState, SyncRequest, SyncResponse
from remotegpu.server.agents import desired
from remotegpu.server.agents.authentication import Node, check_version
from remotegpu.server.agents.heartbeats import Beat, Heartbeats
from remotegpu.server.agents.revisions import Known, Revisions
from remotegpu.server.core.database import transaction
from remotegpu.server.core.errors import NotAuthenticatedError
from remotegpu.server.core.hub import Message
from remotegpu.server.core.services import Services
from remotegpu.server.domains.access import certificates
from remotegpu.server.domains.allocations import service as allocations
from remotegpu.server.domains.machines import repository as machine_rows
from remotegpu.server.domains.machines import samples
from remotegpu.server.domains.machines import service as machines
from remotegpu.server.domains.tasks import service as tasks

SEEN_MOST = 50_000


class Seen:
    """The last things heard, so that a repeated report costs no transaction. Forgetting is always safe."""

    def __init__(self, most: int = SEEN_MOST) -> None:
        self._entries: OrderedDict[object, None] = OrderedDict()
        self._most = most

    def __contains__(self, entry: object) -> bool:
        return entry in self._entries

    def add(self, entry: object) -> None:
        self._entries[entry] = None
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)


class Sync:
    """Answers polls. One per process."""

    def __init__(
        self, services: Services, heartbeats: Heartbeats, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._services = services
        self._heartbeats = heartbeats
        self._revisions = Revisions(services)
        self._seen = Seen()
        self._now = now
        self._lease = timedelta(seconds=services.settings.lease_seconds)
        self._ca_public_key = certificates.ca_public_key(services.settings.ssh_ca_key)

    async def answer(self, node: Node, told: SyncRequest) -> SyncResponse:
        """One poll, from report to reply."""
        check_version(told.protocol_version)
        self._note(node, told)
        await self._take_inventory(node, told)
        refused = await self._take_reports(node, told)
        known = await self._known(node)
        want_inventory = known.inventory_hash != told.inventory_hash
        state = await self._changed(node, told.applied_revision, known)
        if state is None and told.wait and not refused and not want_inventory:
            state = await self._wait(node, told.applied_revision)
        return SyncResponse(desired=state, want_inventory=want_inventory, refused_attempts=refused)

    def _note(self, node: Node, told: SyncRequest) -> None:
        now = self._now()
        beat = Beat(
            seen=now,
            revision=told.applied_revision,
            skew=told.clock - now.timestamp(),
            version=told.agent_version[:50],
            protocol=told.protocol_version,
            boot=told.boot_id[:64],
        )
        self._heartbeats.note(node.machine_id, beat, told.sample)

    async def _take_inventory(self, node: Node, told: SyncRequest) -> None:
        if told.inventory is None:
            return
        async with transaction(self._services.sessions) as tx:
            machine = await machine_rows.lock(tx, node.machine_id)
            machines.apply_inventory(machine, told.inventory, told.inventory_hash)
            if machine.state == "enrolling":
                machines.set_state(tx, machine, "online", "the first report has arrived")

    async def _take_reports(self, node: Node, told: SyncRequest) -> list[str]:
        """Apply what is news; returns ids of attempts whose report was refused."""
        refused: list[str] = []
        news = False
        for report in told.attempts:
            accepted, changed = await self._take_attempt(node, report)
            news = news or changed
            if not accepted:
                refused.append(report.attempt_id)
        for account in told.accounts:
            news = await self._take_account(account) or news
        if news:
            await self._advance(node.machine_id, told.sample)
        return refused

    async def _take_attempt(self, node: Node, report: AttemptReport) -> tuple[bool, bool]:
        """Whether the report stands, and whether it said something new."""
        key = (report.attempt_id, report.state)
        if key in self._seen and report.state == "running":
            self._heartbeats.renew([uuid.UUID(report.attempt_id)])
            return True, False
        async with transaction(self._services.sessions) as tx:
            accepted = await tasks.report(tx, node.machine_id, report, self._lease)
        if accepted:
            self._seen.add(key)
        return accepted, accepted and report.state != "running"

    async def _take_account(self, report: AccountReport) -> bool:
        key = (report.allocation_id, report.state, report.detail)
        if report.state == "present" or key in self._seen:
            return False
        try:
            allocation_id = uuid.UUID(report.allocation_id)
        except ValueError:
            return False
        async with transaction(self._services.sessions) as tx:
            news = await allocations.account_reported(
                tx, allocation_id, wiped=report.state == "absent", detail=report.detail[:500]
            )
        self._seen.add(key)
        return news

    async def _advance(self, machine_id: uuid.UUID, sample: HostSample | None) -> None:
        latest = sample or (await samples.latest(self._services.redis, [machine_id])).get(machine_id)
        async with transaction(self._services.sessions) as tx:
            await allocations.advance(tx, machine_id, latest)

    async def _known(self, node: Node) -> Known:
        known = await self._revisions.get(node.machine_id)
        if known is None:
            raise NotAuthenticatedError("this machine was deleted; enrol it again", code="node_token_refused")
        return known

    async def _changed(self, node: Node, applied: int, known: Known) -> DesiredState | None:
        if known.revision == applied:
            return None
        watched = await samples.is_watched(self._services.redis, node.machine_id)
        async with self._services.sessions() as tx:
            return await self._compose(tx, node.machine_id, watched=watched)

    async def _compose(self, tx: AsyncSession, machine_id: uuid.UUID, *, watched: bool) -> DesiredState:
        return await desired.compose(
            tx,
            machine_id,
            ca_public_key=self._ca_public_key,
            lease_seconds=self._services.settings.lease_seconds,
            watched=watched,
        )

    async def _wait(self, node: Node, applied: int) -> DesiredState | None:
        """Until the revision moves, at most about 25 s (spread, so that a fleet does not come back in step)."""
        woken = asyncio.Event()

        def wake(_message: Message) -> None:
            woken.set()

        deadline = asyncio.get_running_loop().time() + SYNC_WAIT_S * random.uniform(0.8, 1.0)  # noqa: S311 - spreading load, not a secret
        with self._services.hub.listening("wake", str(node.machine_id), wake):
            while True:
                state = await self._changed(node, applied, await self._known(node))
                if state is not None:
                    return state
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(
                        woken.wait(), max(0.0, deadline - asyncio.get_running_loop().time())
                    )
                if not woken.is_set():
                    return None
                woken.clear()
