"""The acting part with fakes around it: failures, retries and what is reported meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from remotegpu.agent import account_keeper, actions
from remotegpu.agent.accounts.fake import FakeAccounts
from remotegpu.agent.actions import Actor
from remotegpu.agent.journal import Journal
from remotegpu.agent.tasks.adapter import AttemptExit
from remotegpu.agent.tasks.fake import FakeRunner
from remotegpu.agent.tasks.uplink import AttemptGoneError
from remotegpu.protocol.attempts import ArtifactFile, ArtifactUrl, AttemptSpec, LogAck
from remotegpu.protocol.sync import AccountCleanup, AccountSpec, DesiredState

ACME = AccountSpec(name="acme", allocation_id="lease-1")
SPEC = AttemptSpec(attempt_id="a1", task_id="t1", number=1, account="acme", kind="shell", command="true")


class Uplink:
    gone = False

    async def push_log(self, attempt_id: str, offset: int, content: bytes, *, final: bool) -> LogAck:
        del final
        if self.gone:
            raise AttemptGoneError(f"404: {attempt_id}")
        return LogAck(next_offset=offset + len(content), accepted=True)

    async def offer_artifacts(self, attempt_id: str, files: list[ArtifactFile]) -> list[ArtifactUrl]:
        raise AttemptGoneError(f"404: {attempt_id} {files}")

    async def put_artifact(self, url: str, file: ArtifactFile, source: BinaryIO) -> None:
        raise NotImplementedError


class Access:
    def __init__(self) -> None:
        self.closed: list[str] = []

    async def close_account(self, name: str) -> None:
        self.closed.append(name)


class World:
    """An actor and everything around it. ``crash`` gives up the actor as a kill would and starts the next."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.accounts = FakeAccounts(folder / "homes")
        self.runner = FakeRunner(folder / "attempts")
        self.uplink = Uplink()
        self.access = Access()
        self.news = 0
        self.actor = self.make()

    def make(self) -> Actor:
        return Actor(
            journal=Journal(self.folder / "journal"),
            runner=self.runner,
            accounts=self.accounts,
            access=self.access,
            uplink=self.uplink,
            news=self.count,
        )

    def count(self) -> None:
        self.news += 1

    async def crash(self) -> None:
        await self.actor.close()
        self.actor = self.make()
        await self.actor.adopt()

    def attempt_state(self) -> str:
        return next((report.state for report in self.actor.attempt_reports()), "")

    def account_state(self) -> tuple[str, str]:
        return next(((report.state, report.detail) for report in self.actor.account_reports()), ("", ""))


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(account_keeper, "RETRY_FIRST_S", 0.05)
    made = World(tmp_path)
    yield made
    await made.actor.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 — outcomes of other tasks, without hooks in them
            await asyncio.sleep(0.005)


def desired(*attempts: AttemptSpec, revision: int = 1) -> DesiredState:
    return DesiredState(revision=revision, accounts=[ACME], attempts=list(attempts))


async def test_attempt_goes_from_start_to_drop(world: World) -> None:
    await world.actor.apply(desired(SPEC))
    await until(lambda: world.attempt_state() == "running")
    assert world.account_state() == ("present", "")
    world.runner.finish("a1", AttemptExit(outcome="succeeded", exit_code=0))
    await until(lambda: world.attempt_state() == "succeeded")
    await world.actor.apply(desired(revision=2))
    await until(lambda: world.runner.discarded == ["a1"])
    await until(lambda: world.attempt_state() == "")
    assert world.runner.starts == ["a1"]
    assert world.news >= 3


async def test_next_attempt_of_a_task_starts_when_the_earlier_one_is_over(world: World) -> None:
    await world.actor.apply(desired(SPEC))
    await until(lambda: world.attempt_state() == "running")
    second = AttemptSpec(
        attempt_id="a2", task_id="t1", number=2, account="acme", kind="shell", command="true"
    )
    await world.actor.apply(desired(second, revision=2))
    await until(lambda: world.runner.starts == ["a1", "a2"])
    assert world.runner.stops[0][0] == "a1"


async def test_account_that_cannot_be_made_is_reported_and_tried_again(world: World) -> None:
    world.accounts.refuse["acme"] = "useradd: no space left on device"
    await world.actor.apply(desired(SPEC))
    await until(lambda: world.account_state() == ("failed", "useradd: no space left on device"))
    assert world.runner.starts == []
    del world.accounts.refuse["acme"]
    await until(lambda: world.account_state()[0] == "present")
    await until(lambda: world.runner.starts == ["a1"])


async def test_wipe_that_leaves_something_is_reported_and_tried_again(world: World) -> None:
    await world.actor.apply(desired())
    await until(lambda: world.account_state()[0] == "present")
    world.accounts.remains["acme"] = ["process 7 (python)"]
    cleanup = AccountCleanup(name="acme", allocation_id="lease-1")
    await world.actor.apply(DesiredState(revision=2, cleanups=[cleanup]))
    await until(lambda: world.account_state() == ("failed", "process 7 (python)"))
    world.accounts.remains.clear()
    await until(lambda: world.account_state() == ("absent", ""))
    assert set(world.access.closed) == {"acme"}
    await world.actor.apply(DesiredState(revision=3))
    await until(lambda: world.actor._accounts._known == {})


async def test_crash_between_any_two_steps_starts_nothing_twice(world: World) -> None:
    await world.actor.apply(desired(SPEC))
    await until(lambda: world.attempt_state() == "running")
    await world.crash()
    await until(lambda: world.attempt_state() == "running")
    await world.actor.apply(desired(SPEC))
    world.runner.finish("a1", AttemptExit(outcome="failed", exit_code=9))
    await until(lambda: world.attempt_state() == "failed")
    await world.crash()
    assert world.attempt_state() == "failed"
    await world.actor.apply(desired(SPEC))
    await asyncio.sleep(0.05)
    assert world.runner.starts == ["a1"]


async def test_attempt_the_server_no_longer_knows_is_stopped_and_forgotten(world: World) -> None:
    world.uplink.gone = True
    await world.actor.apply(desired(SPEC))
    await until(lambda: world.runner.starts == ["a1"])
    world.runner.log_path("a1").write_text("x")
    await until(lambda: world.runner.discarded == ["a1"])
    await world.actor.apply(desired(SPEC, revision=2))
    await asyncio.sleep(0.05)
    assert world.runner.starts == ["a1"]


async def test_attempt_that_meets_a_full_disk_waits_instead_of_failing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = world.runner.start, [OSError(28, "No space left on device")]

    async def start(spec: AttemptSpec, account: object) -> object:
        if failures:
            raise failures.pop()
        return await real(spec, account)  # type: ignore[arg-type]

    monkeypatch.setattr(world.runner, "start", start)
    monkeypatch.setattr(actions.Backoff, "next", lambda _self: 0.01)
    await world.actor.apply(desired(SPEC))
    await until(lambda: world.attempt_state() == "running")
    assert world.runner.starts == ["a1"]
