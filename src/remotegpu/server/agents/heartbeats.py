"""Heartbeats are collected and written once a second in a single statement, never one statement each."""

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from remotegpu.kit.clock import utc_now
from remotegpu.protocol.inventory import HostSample
from remotegpu.server.core.database import transaction
from remotegpu.server.core.hub import announce
from remotegpu.server.core.services import Services
from remotegpu.server.domains.machines import samples
from remotegpu.server.domains.machines import service as machines
from remotegpu.server.domains.tasks import attempts as tasks

FLUSH_SECONDS = 1.0
GIVE_UP_AFTER = timedelta(minutes=1)
"""A beat that could not be written for so long is of a machine that was deleted; others have a newer one by then."""

log = structlog.get_logger()

_FLUSH = text(
    """
    WITH beat AS (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:seen AS timestamptz[]), CAST(:revisions AS bigint[]), CAST(:skews AS float8[]),
            CAST(:versions AS text[]), CAST(:protocols AS text[]), CAST(:boots AS text[])
        ) AS t(id, seen, revision, skew, version, protocol, boot)
    ), locked AS (
        SELECT id, reachable FROM machines WHERE id IN (SELECT id FROM beat) ORDER BY id FOR UPDATE SKIP LOCKED
    )
    UPDATE machines SET
        last_seen_at = GREATEST(machines.last_seen_at, beat.seen),
        applied_revision = beat.revision,
        clock_skew_s = beat.skew,
        agent_version = beat.version,
        protocol_version = beat.protocol,
        boot_id = beat.boot,
        reachable = true,
        reachability_since = CASE WHEN locked.reachable THEN machines.reachability_since ELSE beat.seen END
    FROM beat JOIN locked USING (id)
    WHERE machines.id = beat.id
    RETURNING machines.id, locked.reachable
    """
)
"""Rows somebody else has locked are skipped and written a second later: a heartbeat never waits for a transaction."""


@dataclass(frozen=True, kw_only=True)
class Beat:
    """``skew``: the agent's clock minus ours, in seconds."""

    seen: datetime
    revision: int
    skew: float
    version: str
    protocol: str
    boot: str


class Heartbeats:
    """Collects what agents say and writes it in batches. One per process.

    ``when_ended`` is called with each attempt whose lease was to be renewed and that has ended meanwhile.
    """

    def __init__(self, services: Services, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._monotonic = monotonic
        self._beats: dict[uuid.UUID, Beat] = {}
        self._samples: dict[uuid.UUID, HostSample] = {}
        self._renewals: set[uuid.UUID] = set()
        self._watched: set[uuid.UUID] = set()
        self._history_due: dict[uuid.UUID, float] = {}
        self.when_ended: Callable[[uuid.UUID], None] = _ignore
        self._lease = timedelta(seconds=services.settings.agents.lease_seconds)

    def note(self, machine_id: uuid.UUID, beat: Beat, sample: HostSample | None) -> None:
        """Remember the newest word of a machine until the next flush."""
        self._beats[machine_id] = beat
        if sample is not None:
            self._samples[machine_id] = sample

    def renew(self, attempt_id: uuid.UUID) -> None:
        """Renew this lease at the next flush: well before it ends."""
        self._renewals.add(attempt_id)

    async def run(self) -> None:
        """Flush every second, for ever. What could not be written is tried again, unless there is newer."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
            except (SQLAlchemyError, RedisError, OSError) as error:
                log.warning("heartbeats not written yet", error=str(error)[:300], machines=len(self._beats))

    async def flush(self) -> None:
        await self._flush_beats()
        await self._flush_renewals()
        await self._flush_samples()

    async def _flush_beats(self) -> None:
        beats, self._beats = self._beats, {}
        if not beats:
            return
        ids = sorted(beats)
        values = [beats[machine_id] for machine_id in ids]
        try:
            async with transaction(self._services.sessions) as tx:
                rows = await tx.execute(
                    _FLUSH,
                    {
                        "ids": ids,
                        "seen": [beat.seen for beat in values],
                        "revisions": [beat.revision for beat in values],
                        "skews": [beat.skew for beat in values],
                        "versions": [beat.version for beat in values],
                        "protocols": [beat.protocol for beat in values],
                        "boots": [beat.boot for beat in values],
                    },
                )
                written = {row[0]: row[1] for row in rows.all()}
                for machine_id, was_reachable in written.items():
                    if not was_reachable:
                        announce(tx, "machines", machine_id)
        except Exception:
            self._beats = beats | self._beats
            raise
        oldest = utc_now() - GIVE_UP_AFTER
        skipped = {
            machine_id: beat
            for machine_id, beat in beats.items()
            if machine_id not in written and beat.seen > oldest
        }
        self._beats = skipped | self._beats

    async def _flush_renewals(self) -> None:
        renewals, self._renewals = self._renewals, set()
        if not renewals:
            return
        try:
            async with transaction(self._services.sessions) as tx:
                ended = await tasks.renew(tx, sorted(renewals), self._lease)
        except Exception:
            self._renewals |= renewals
            raise
        for attempt_id in ended:
            self.when_ended(attempt_id)

    async def _flush_samples(self) -> None:
        latest, self._samples = self._samples, {}
        if not latest:
            return
        now = self._monotonic()
        due = [machine_id for machine_id in latest if self._history_due.get(machine_id, 0.0) <= now]
        for machine_id in due:
            self._history_due[machine_id] = now + samples.MIN_SPACING_SECONDS
        await samples.store(self._services.redis, latest, due)
        watched = await samples.watchers(self._services.redis, list(latest))
        for machine_id, customer_ids in watched.items():
            self._services.hub.publish("samples", str(machine_id), customer_ids)
        await self._calm(set(latest) - watched.keys())
        self._watched |= watched.keys()

    async def _calm(self, unwatched: set[uuid.UUID]) -> None:
        """Nobody looks at these any more: let their agents sample slowly again."""
        for machine_id in self._watched & unwatched:
            async with transaction(self._services.sessions) as tx:
                await machines.bump(tx, machine_id)
            self._watched.discard(machine_id)


def _ignore(_attempt_id: uuid.UUID) -> None:
    return
