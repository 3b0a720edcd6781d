"""One attempt from its start to its final report, across any number of agents.

Each step is written to the journal when it is done, and begins by looking there: an agent that starts after a crash
goes on where the last one was.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from remotegpu.agent.accounts import AccountIdentity
from remotegpu.agent.journal import AttemptRecord, Journal
from remotegpu.agent.tasks import artifacts
from remotegpu.agent.tasks.adapter import AttemptExit, AttemptRunner
from remotegpu.agent.tasks.log_shipping import LogFollower
from remotegpu.agent.tasks.uplink import AttemptGoneError, RejectedError, Uplink
from remotegpu.protocol.attempts import ArtifactFile, AttemptReport

OFFSET_NOTE_S = 1.0
"""How often the log offset is journalled. An old one costs a question to the server, not the log."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every attempt works with. ``news`` is called when the server should hear something at once."""

    journal: Journal
    runner: AttemptRunner
    uplink: Uplink
    account_of: Callable[[str], AccountIdentity | None]
    news: Callable[[], None]


class AttemptLife:
    """Drives one attempt from what its record says."""

    def __init__(self, record: AttemptRecord, surroundings: Surroundings) -> None:
        self.record = record
        self.stop_grace_s: float | None = None
        self.refused = False
        self._with = surroundings
        self._ended = asyncio.Event()
        self._begun = asyncio.Event()
        self._notes: list[str] = []
        self._offset_noted_at = 0.0

    @property
    def attempt_id(self) -> str:
        """The attempt's id."""
        return self.record.spec.attempt_id

    @property
    def alive(self) -> bool:
        """True while a process of the attempt may exist."""
        return self.record.phase in {"starting", "running"}

    def report(self) -> AttemptReport | None:
        """What the server should know now; None before the process exists (the server's word is ``assigned``)."""
        if self.record.report is not None:
            return self.record.report
        if self.record.phase == "starting":
            return None
        return AttemptReport(
            attempt_id=self.attempt_id,
            state="running",
            started_at=self.record.started_at,
            log_bytes=self.record.log_offset,
        )

    async def run(self) -> None:
        """Go through all steps that are still to do."""
        if self.record.phase == "starting":
            await self._start()
        self._begun.set()
        if self.record.phase == "settled":
            return
        shipping = asyncio.create_task(self._ship_log())
        try:
            if self.alive:
                await self._wait_for_end()
            self._ended.set()
            files = await self._store_artifacts()
            await shipping
        finally:
            shipping.cancel()
        await self._settle(files)

    async def stop(self, grace_s: float) -> None:
        """End it, as soon as there is something to end."""
        await self._begun.wait()
        await self._with.runner.stop(self.attempt_id, grace_s)

    async def _start(self) -> None:
        account = await asyncio.to_thread(self._with.account_of, self.record.spec.account)
        if account is None:
            log.warning("account of a started attempt is gone", attempt_id=self.attempt_id)
            return
        started = await self._with.runner.start(self.record.spec, account)
        if started is None:
            return
        self.record = replace(
            self.record, phase="running", process=started.process, started_at=started.started_at
        )
        self._with.news()
        log.info("attempt runs", attempt_id=self.attempt_id, task_id=self.record.spec.task_id)
        journal = self._with.journal
        await asyncio.to_thread(journal.record_running, self.attempt_id, started.process, started.started_at)

    async def _wait_for_end(self) -> None:
        ended = await self._with.runner.wait(self.attempt_id, self.record.process)
        await asyncio.to_thread(self._with.journal.record_exit, self.attempt_id, ended)
        self.record = replace(self.record, phase="exited", exit=ended)
        log.info(
            "attempt ended",
            attempt_id=self.attempt_id,
            task_id=self.record.spec.task_id,
            outcome=ended.outcome,
            exit_code=ended.exit_code,
        )

    async def _ship_log(self) -> None:
        if self.record.log_final:
            return
        follower = LogFollower(
            self.attempt_id,
            self._with.runner.log_path(self.attempt_id),
            self._with.uplink,
            offset=self.record.log_offset,
            acknowledged=self._note_offset,
        )
        try:
            await follower.follow(self._ended)
        except AttemptGoneError as error:
            self._give_up(str(error))
        except RejectedError as error:
            self._notes.append(f"log not stored: {error}")

    async def _note_offset(self, offset: int, final: bool) -> None:
        self.record = replace(self.record, log_offset=offset, log_final=final)
        now = asyncio.get_running_loop().time()
        if final or now - self._offset_noted_at >= OFFSET_NOTE_S:
            self._offset_noted_at = now
            journal = self._with.journal
            await asyncio.to_thread(journal.record_log, self.attempt_id, offset, final=final)

    async def _store_artifacts(self) -> list[ArtifactFile]:
        if self.record.artifacts is not None:
            return self.record.artifacts
        await self._with.runner.seal(self.attempt_id)
        output = self._with.runner.output_path(self.attempt_id)
        found = await asyncio.to_thread(artifacts.collect, output)
        stored: list[ArtifactFile] = []
        if found.files and not self.refused:
            try:
                stored = await artifacts.upload(self.attempt_id, output, self._with.uplink, found)
            except AttemptGoneError as error:
                self._give_up(str(error))
            except RejectedError as error:
                self._notes.append(f"artifacts not stored: {error}")
        if found.left_out:
            self._notes.append(found.note())
        await asyncio.to_thread(self._with.journal.record_artifacts, self.attempt_id, stored)
        self.record = replace(self.record, artifacts=stored)
        return stored

    def _give_up(self, why: str) -> None:
        if not self.refused:
            log.warning("server wants nothing more of the attempt", attempt_id=self.attempt_id, detail=why)
            self.refused = True
            self._with.news()

    async def _settle(self, files: list[ArtifactFile]) -> None:
        ended = self.record.exit
        assert ended is not None, "an attempt is settled after its end was recorded"
        report = final_report(self.attempt_id, ended, files, self._notes)
        await asyncio.to_thread(self._with.journal.record_settled, report)
        self.record = replace(self.record, phase="settled", report=report)
        self._with.news()


def final_report(
    attempt_id: str, ended: AttemptExit, files: list[ArtifactFile], notes: list[str]
) -> AttemptReport:
    """The report that repeats until the server drops the attempt."""
    return AttemptReport(
        attempt_id=attempt_id,
        state=ended.outcome,
        exit_code=ended.exit_code,
        reason="; ".join(part for part in [ended.reason, *notes] if part),
        started_at=ended.started_at,
        finished_at=ended.finished_at,
        log_bytes=ended.log_bytes,
        log_truncated=ended.truncated,
        artifacts=files,
    )
