"""The long poll: take in what is, answer what should be as soon as that changes."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from datetime import datetime

from remotegpu.kit.clock import utc_now
from remotegpu.protocol.sync import DesiredState, SyncRequest, SyncResponse
from remotegpu.server.agents import desired
from remotegpu.server.agents.authentication import Node, check_version
from remotegpu.server.agents.heartbeats import Beat, Heartbeats
from remotegpu.server.agents.reports import Reports
from remotegpu.server.agents.revisions import Known, Revisions
from remotegpu.server.core.database import transaction
from remotegpu.server.core.errors import NotAuthenticatedError
from remotegpu.server.core.services import Services
from remotegpu.server.domains.access import certificates
from remotegpu.server.domains.machines import samples
from remotegpu.server.domains.machines import service as machines


class Sync:
    """Answers polls. One per process."""

    def __init__(
        self, services: Services, heartbeats: Heartbeats, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._services = services
        self._heartbeats = heartbeats
        self._reports = Reports(services, heartbeats)
        self._revisions = Revisions(services)
        self._now = now
        self._ca_public_key = certificates.ca_public_key(services.settings.ssh_ca_key)

    async def answer(self, node: Node, told: SyncRequest) -> SyncResponse:
        """One poll, from report to reply."""
        check_version(told.protocol_version)
        self._note(node, told)
        await self._take_inventory(node, told)
        refused = await self._reports.take(node.machine_id, told)
        known = await self._known(node)
        want_inventory = known.inventory_hash != told.inventory_hash or known.state == "enrolling"
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
        if told.inventory is not None:
            async with transaction(self._services.sessions) as tx:
                await machines.take_inventory(tx, node.machine_id, told.inventory, told.inventory_hash)

    async def _known(self, node: Node) -> Known:
        known = await self._revisions.get(node.machine_id)
        if known is None:
            raise NotAuthenticatedError("this machine was deleted; enrol it again", code="node_token_refused")
        return known

    async def _changed(self, node: Node, applied: int, known: Known) -> DesiredState | None:
        return None if known.revision == applied else await self._compose(node)

    async def _compose(self, node: Node) -> DesiredState:
        watched = await samples.is_watched(self._services.redis, node.machine_id)
        async with self._services.sessions() as tx:
            return await desired.compose(
                tx,
                node.machine_id,
                ca_public_key=self._ca_public_key,
                lease_seconds=self._services.settings.agents.lease_seconds,
                watched=watched,
            )

    async def _wait(self, node: Node, applied: int) -> DesiredState | None:
        """Until the revision moves, for the longest a poll may take (spread, so that a fleet falls out of step)."""
        woken = asyncio.Event()
        longest = self._services.settings.agents.sync_wait_seconds * random.uniform(0.8, 1.0)  # noqa: S311 - spreading load, not a secret
        deadline = asyncio.get_running_loop().time() + longest
        with self._services.hub.listening("wake", str(node.machine_id), lambda _message: woken.set()):
            state = await self._changed(node, applied, await self._known(node))
            while state is None or state.revision == applied:
                left = deadline - asyncio.get_running_loop().time()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), max(0.0, left))
                if not woken.is_set():
                    return None
                woken.clear()
                state = await self._compose(node)
        return state
