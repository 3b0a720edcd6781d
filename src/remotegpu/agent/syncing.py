"""The conversation with the server: one standing long-poll, and a word at once when there is news.

Both carry the whole state, so it does not matter which arrives, or arrives first.
"""

import asyncio
import contextlib
import time
import uuid
from dataclasses import dataclass
from typing import Protocol

import structlog

from remotegpu import __version__
from remotegpu.agent.backoff import Backoff
from remotegpu.agent.client import ProtocolRefusedError, TokenRefusedError
from remotegpu.agent.measuring import Measurements
from remotegpu.agent.tasks.uplink import RejectedError, UnreachableError
from remotegpu.protocol.attempts import AttemptReport
from remotegpu.protocol.sync import AccountReport, DesiredState, SyncRequest, SyncResponse
from remotegpu.protocol.version import PROTOCOL_VERSION

RETRY_FIRST_S = 0.2
RETRY_CAP_S = 10.0
"""A server that restarts is found again within a second or two; one that is down is asked every 5 to 10 s."""
REFUSED_RETRY_S = 60.0
"""After 401, or an answer that makes no sense: somebody has to act first."""
PROTOCOL_RETRY_S = 300.0
"""After 426: this agent has to be upgraded first."""
EARLY_ANSWER_S = 1.0
EARLY_PAUSE_FIRST_S = 0.1
EARLY_PAUSE_CAP_S = 5.0
"""A server that keeps answering long-polls at once with nothing new is asked less and less often."""

APPLY_RETRY_S = 2.0
FIRST_RESULTS_S = 0.03
"""How long the next poll waits for them. A command runs some 5 ms after it was asked for."""

NOTHING_APPLIED = -1
"""Revision of an agent that was told nothing yet. No desired state has it."""

log = structlog.get_logger()


class Host(Protocol):
    """What acts on the host, as far as the conversation needs it."""

    async def apply(self, desired: DesiredState) -> None:
        """Make it the goal."""
        ...

    def refuse(self, attempt_ids: list[str]) -> None:
        """Stop and forget these attempts."""
        ...

    def attempt_reports(self) -> list[AttemptReport]:
        """State of attempts."""
        ...

    def account_reports(self) -> list[AccountReport]:
        """State of accounts."""
        ...


class Server(Protocol):
    """The one call this needs."""

    async def sync(self, request: SyncRequest) -> SyncResponse:
        """One exchange."""
        ...


class Follower(Protocol):
    """Told about every desired state, after the host part: remote access, token rotation, sampling. Returns at once."""

    def __call__(self, desired: DesiredState) -> None: ...


@dataclass(slots=True)
class Contact:
    """How the conversation goes, for `remotegpu agent status`. ``since``: epoch seconds of the last change."""

    connected: bool = False
    since: float = 0.0
    revision: int = NOTHING_APPLIED
    problem: str = ""


class Conversation:
    """Keeps both sides informed until it is cancelled. Nothing that the server does ends it."""

    def __init__(
        self, *, server: Server, host: Host, measurements: Measurements, followers: list[Follower]
    ) -> None:
        self._server = server
        self._host = host
        self._measurements = measurements
        self._followers = followers
        self._boot_id = str(uuid.uuid4())
        self._news = asyncio.Event()
        self._soon: asyncio.Event | None = None
        self._applying = asyncio.Lock()
        self.contact = Contact()

    def tell(self) -> None:
        """There is news: say it now, with the poll that is about to begin if there is one."""
        (self._soon or self._news).set()

    async def run(self) -> None:
        """Poll and tell, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._poll())
            group.create_task(self._tell_news())

    async def _poll(self) -> None:
        failing = Backoff(RETRY_FIRST_S, RETRY_CAP_S)
        early = Backoff(EARLY_PAUSE_FIRST_S, EARLY_PAUSE_CAP_S)
        while True:
            began, revision = time.monotonic(), self.contact.revision
            pause = await self._exchange(failing, wait=True)
            if pause is None:
                nothing_new = revision == self.contact.revision
                if nothing_new and time.monotonic() - began < EARLY_ANSWER_S:
                    pause = early.next()
                else:
                    early.reset()
            if pause is not None:
                await asyncio.sleep(pause)
            elif revision != self.contact.revision:
                await self._first_results()

    async def _first_results(self) -> None:
        """Something new was asked for. What comes of it at once is said by the next poll: one call less for each."""
        self._soon = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._soon.wait(), FIRST_RESULTS_S)
        self._soon = None

    async def _tell_news(self) -> None:
        backoff = Backoff(RETRY_FIRST_S, RETRY_CAP_S)
        while True:
            await self._news.wait()
            self._news.clear()
            pause = await self._exchange(backoff, wait=False)
            if pause is not None:
                await asyncio.sleep(pause)
                self._news.set()

    async def _exchange(self, backoff: Backoff, *, wait: bool) -> float | None:
        """One sync. None when it worked, else for how long to leave the server alone."""
        request = self._request(wait=wait)
        try:
            response = await self._server.sync(request)
        except UnreachableError as error:
            self._note_problem(f"server not reachable: {error}")
            return backoff.next()
        except ProtocolRefusedError as error:
            self._note_problem(
                f"server refuses protocol {PROTOCOL_VERSION}: {error}; upgrade this agent ({__version__})"
            )
            return PROTOCOL_RETRY_S
        except TokenRefusedError as error:
            self._note_problem(
                f"server refuses this node's token: {error}; enrol again with `remotegpu agent enroll`"
            )
            return REFUSED_RETRY_S
        except RejectedError as error:
            self._note_problem(f"server rejects the report: {error}; is REMOTEGPU_SERVER_URL right?")
            return REFUSED_RETRY_S
        backoff.reset()
        self._note_contact()
        await self._take(request, response)
        return None

    def _request(self, *, wait: bool) -> SyncRequest:
        return SyncRequest(
            agent_version=__version__,
            protocol_version=PROTOCOL_VERSION,
            boot_id=self._boot_id,
            applied_revision=self.contact.revision,
            clock=time.time(),
            wait=wait,
            inventory=self._measurements.inventory_to_send(),
            inventory_hash=self._measurements.inventory_hash,
            sample=self._measurements.take_sample(),
            accounts=self._host.account_reports(),
            attempts=self._host.attempt_reports(),
        )

    async def _take(self, request: SyncRequest, response: SyncResponse) -> None:
        self._measurements.inventory_answered(request.inventory_hash, wanted=response.want_inventory)
        if response.want_inventory and request.inventory is None and self._measurements.inventory_to_send():
            self.tell()
        self._host.refuse(response.refused_attempts)
        desired = response.desired
        if desired is None:
            return
        async with self._applying:
            if is_newer(desired.revision, asked=request.applied_revision, current=self.contact.revision):
                await self._apply(desired)

    async def _apply(self, desired: DesiredState) -> None:
        """Whatever goes wrong here is logged, and the server asked for the same again."""
        self.contact.revision = desired.revision
        try:
            await self._host.apply(desired)
            for follower in self._followers:
                follower(desired)
        except Exception as error:
            log.exception("desired state not applied", revision=desired.revision, error=repr(error))
            self.contact.revision = NOTHING_APPLIED
            await asyncio.sleep(APPLY_RETRY_S)

    def _note_contact(self) -> None:
        if not self.contact.connected:
            log.info("server reached", revision=self.contact.revision)
            self._change_contact(connected=True, problem="")

    def _note_problem(self, problem: str) -> None:
        if self.contact.connected or problem != self.contact.problem:
            log.warning("no contact with the server", detail=problem)
            self._change_contact(connected=False, problem=problem)

    def _change_contact(self, *, connected: bool, problem: str) -> None:
        self.contact.connected, self.contact.problem, self.contact.since = connected, problem, time.time()


def is_newer(revision: int, *, asked: int, current: int) -> bool:
    """Whether an answer counts. ``asked``: revision our question named; ``current``: what we have by now.

    Polls overlap, so an older answer can arrive after a newer one: it would restart what was just ended. But an
    answer to a question that named our current revision counts even when it is lower: the server was restored.
    """
    return revision > current or (asked == current and revision != current)
