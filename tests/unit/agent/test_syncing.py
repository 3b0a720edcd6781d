"""The conversation with the server, in particular what happens when answers overlap or fail."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from remotegpu.agent import syncing
from remotegpu.agent.client import ProtocolRefusedError, TokenRefusedError
from remotegpu.agent.gpus import open_gpus
from remotegpu.agent.measuring import Measurements
from remotegpu.agent.syncing import NOTHING_APPLIED, Conversation, is_newer
from remotegpu.agent.tasks.uplink import RejectedError, UnreachableError
from remotegpu.protocol.attempts import AttemptReport
from remotegpu.protocol.sync import AccountReport, DesiredState, SyncRequest, SyncResponse

Answer = Callable[[SyncRequest], SyncResponse]

LONG_S = 30.0
"""In place of the moment in which the next poll waits for news: a test that waits it out fails."""


class ScriptedServer:
    """Answers polls with what ``answers`` says, then holds them for ever."""

    def __init__(self) -> None:
        self.requests: list[SyncRequest] = []
        self.answers: list[SyncResponse | Exception] = []

    async def sync(self, request: SyncRequest) -> SyncResponse:
        self.requests.append(request)
        if not request.wait:
            return SyncResponse()
        if not self.answers:
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class RecordingHost:
    def __init__(self) -> None:
        self.applied: list[int] = []
        self.refused: list[str] = []
        self.fail: list[Exception] = []

    async def apply(self, desired: DesiredState) -> None:
        if self.fail:
            raise self.fail.pop(0)
        self.applied.append(desired.revision)

    def refuse(self, attempt_ids: list[str]) -> None:
        self.refused += attempt_ids

    def attempt_reports(self) -> list[AttemptReport]:
        return [AttemptReport(attempt_id="a1", state="running")]

    def account_reports(self) -> list[AccountReport]:
        return []


@pytest.fixture
async def parts() -> AsyncIterator[tuple[ScriptedServer, RecordingHost, Conversation]]:
    server, host = ScriptedServer(), RecordingHost()

    def tell() -> None:
        conversation.tell()

    measurements = Measurements(open_gpus(1), ssh_host_key="key", isolation="directory", news=tell)
    conversation = Conversation(server=server, host=host, measurements=measurements, followers=[])
    running: list[asyncio.Task[None]] = []
    conversation.begin = lambda: running.append(asyncio.create_task(conversation.run()))  # type: ignore[attr-defined]
    yield server, host, conversation
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


Parts = tuple[ScriptedServer, RecordingHost, Conversation]


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 — outcomes of another task, without hooks in it
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("revision", "asked", "current", "counts"),
    [
        (5, NOTHING_APPLIED, NOTHING_APPLIED, True),
        (6, 5, 5, True),
        (7, 5, 6, True),  # two polls at once, the later answer is newer
        (5, 4, 6, False),  # overtaken: it would bring back what was ended
        (6, 5, 6, False),  # the same again
        (3, 6, 6, True),  # the server was restored from a backup
    ],
)
def test_which_answer_counts(revision: int, asked: int, current: int, counts: bool) -> None:
    assert is_newer(revision, asked=asked, current=current) is counts


async def test_desired_state_is_applied_and_its_revision_named_from_then_on(parts: Parts) -> None:
    server, host, conversation = parts
    server.answers = [SyncResponse(desired=DesiredState(revision=4)), SyncResponse(refused_attempts=["a9"])]
    conversation.begin()  # type: ignore[attr-defined]
    await _until(lambda: len(server.requests) == 3)
    assert host.applied == [4]
    assert host.refused == ["a9"]
    assert [request.applied_revision for request in server.requests] == [NOTHING_APPLIED, 4, 4]
    assert conversation.contact.connected


async def test_news_is_told_at_once_beside_the_standing_poll(parts: Parts) -> None:
    server, _, conversation = parts
    conversation.begin()  # type: ignore[attr-defined]
    await _until(lambda: len(server.requests) == 1)
    conversation.tell()
    await _until(lambda: len(server.requests) == 2)
    assert [request.wait for request in server.requests] == [True, False]
    assert server.requests[1].attempts[0].attempt_id == "a1"


async def test_unreachable_server_is_asked_again_soon(parts: Parts) -> None:
    server, host, conversation = parts
    server.answers = [UnreachableError("connection refused")] * 2 + [
        SyncResponse(desired=DesiredState(revision=1))
    ]
    conversation.begin()  # type: ignore[attr-defined]
    await _until(lambda: host.applied == [1])
    assert conversation.contact.connected


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TokenRefusedError("401 invalid_token"), "enrol again"),
        (ProtocolRefusedError("426 too old"), "upgrade this agent"),
        (RejectedError("404: not found"), "REMOTEGPU_SERVER_URL"),
    ],
)
async def test_refusals_say_what_to_do_and_are_not_repeated_at_once(
    parts: Parts, error: Exception, said: str
) -> None:
    server, _, conversation = parts
    server.answers = [error, error]
    conversation.begin()  # type: ignore[attr-defined]
    await _until(lambda: bool(conversation.contact.problem))
    await asyncio.sleep(0.5)
    assert said in conversation.contact.problem
    assert len(server.requests) == 1
    assert not conversation.contact.connected


async def test_server_that_does_not_hold_polls_is_not_asked_in_a_tight_loop(parts: Parts) -> None:
    server, _, conversation = parts
    server.answers = [SyncResponse() for _ in range(100)]
    conversation.begin()  # type: ignore[attr-defined]
    await asyncio.sleep(0.6)
    assert 2 <= len(server.requests) <= 6


async def test_inventory_that_cannot_be_had_is_not_asked_for_in_a_tight_loop(parts: Parts) -> None:
    server, _, conversation = parts
    server.answers = [SyncResponse(want_inventory=True) for _ in range(100)]
    conversation.begin()  # type: ignore[attr-defined]
    await asyncio.sleep(0.6)
    assert 2 <= len(server.requests) <= 6


async def test_desired_state_that_cannot_be_applied_is_asked_for_again(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncing, "APPLY_RETRY_S", 0.01)
    server, host, conversation = parts
    host.fail = [OSError("disk full")]
    server.answers = [SyncResponse(desired=DesiredState(revision=4)) for _ in range(2)]
    conversation.begin()  # type: ignore[attr-defined]
    await _until(lambda: host.applied == [4])
    assert server.requests[1].applied_revision == NOTHING_APPLIED


async def test_inventory_is_sent_until_the_server_has_it_and_again_when_it_asks(parts: Parts) -> None:
    server, _, conversation = parts
    measurements = conversation._measurements
    await measurements.refresh_inventory()
    server.answers = [SyncResponse(), SyncResponse(want_inventory=True)]
    conversation.begin()  # type: ignore[attr-defined]
    await _until(lambda: len([request for request in server.requests if request.wait]) == 3)
    polls = [request for request in server.requests if request.wait]
    assert polls[0].inventory is not None
    assert polls[2].inventory is not None or any(
        request.inventory for request in server.requests if not request.wait
    )
    assert {request.inventory_hash for request in polls} == {measurements.inventory_hash}


async def test_news_right_after_a_new_goal_goes_out_with_the_next_poll_at_once(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncing, "FIRST_RESULTS_S", LONG_S)
    server, host, conversation = parts
    server.answers = [SyncResponse(desired=DesiredState(revision=4))]
    conversation.begin()  # type: ignore[attr-defined]
    await _until(lambda: host.applied == [4])
    await asyncio.sleep(0.05)
    assert len(server.requests) == 1, "the next poll waits for what comes of the new goal"
    conversation.tell()
    await _until(lambda: len(server.requests) == 2)
    await asyncio.sleep(0.05)
    assert [request.wait for request in server.requests] == [True, True], "one call for both"
    assert server.requests[1].attempts[0].attempt_id == "a1"


async def test_news_after_that_moment_goes_out_by_its_own_call(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncing, "FIRST_RESULTS_S", 0.01)
    server, _, conversation = parts
    server.answers = [SyncResponse(desired=DesiredState(revision=4))]
    conversation.begin()  # type: ignore[attr-defined]
    await _until(lambda: len(server.requests) == 2)
    conversation.tell()
    await _until(lambda: len(server.requests) == 3)
    assert [request.wait for request in server.requests] == [True, True, False]


async def test_without_news_the_next_poll_goes_out_after_that_moment(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = 0.3
    monkeypatch.setattr(syncing, "FIRST_RESULTS_S", moment)
    server, host, conversation = parts
    server.answers = [SyncResponse(desired=DesiredState(revision=4))]
    conversation.begin()  # type: ignore[attr-defined]
    await _until(lambda: host.applied == [4])
    applied = time.monotonic()
    await _until(lambda: len(server.requests) == 2)
    assert moment - 0.05 < time.monotonic() - applied < moment + 2
    assert server.requests[1].wait


async def test_answer_without_a_new_goal_is_followed_by_the_next_poll_at_once(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncing, "FIRST_RESULTS_S", LONG_S)
    monkeypatch.setattr(syncing, "EARLY_ANSWER_S", 0.0)
    server, _, conversation = parts
    server.answers = [SyncResponse() for _ in range(3)]
    conversation.begin()  # type: ignore[attr-defined]
    await _until(lambda: len(server.requests) == 4)
