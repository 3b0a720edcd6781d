"""The real runner: repeated starts, lost host processes, and processes nobody knows."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from remotegpu.agent.accounts import AccountIdentity, processes
from remotegpu.agent.tasks import process_identity
from remotegpu.agent.tasks.command import ATTEMPT_ID_ENV, Interpreters
from remotegpu.agent.tasks.host_runner import HostRunner
from remotegpu.agent.tasks.process_identity import ProcessIdentity
from remotegpu.protocol.attempts import AttemptSpec


@pytest.fixture
def account(tmp_path: Path) -> AccountIdentity:
    (tmp_path / "home").mkdir()
    return AccountIdentity("acme", None, None, tmp_path / "home")


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[HostRunner]:
    made = HostRunner(tmp_path / "attempts", Interpreters(python=sys.executable, path=os.environ["PATH"]))
    await made.open()
    yield made
    await made.sweep(set())
    made.close()


def spec(command: str, **fields: Any) -> AttemptSpec:
    given = {
        "attempt_id": f"a-{os.getpid()}",
        "task_id": "t1",
        "number": 1,
        "account": "acme",
        "kind": "shell",
    }
    return AttemptSpec(**{**given, "command": command, "grace_s": 1, **fields})


def processes_of(attempt_id: str) -> list[int]:
    mark = f"{ATTEMPT_ID_ENV}={attempt_id}".encode()
    return [pid for pid in processes.pids() if mark in processes.environment_of(pid)]


def names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 — another process's doing
            await asyncio.sleep(0.005)


async def test_starting_again_finds_the_attempt_that_runs(
    runner: HostRunner, account: AccountIdentity, tmp_path: Path
) -> None:
    made = spec(f"echo run >> {tmp_path}/runs; sleep 0.3")
    first = await runner.start(made, account)
    again = await HostRunner(tmp_path / "attempts", Interpreters()).start(made, account)
    assert first is not None
    assert first == again
    ended = await runner.wait(made.attempt_id, None)
    assert ended.outcome == "succeeded", ended
    after = await runner.start(made, account)
    assert after == first
    assert (tmp_path / "runs").read_text() == "run\n"


async def test_eight_attempts_start_side_by_side(runner: HostRunner, account: AccountIdentity) -> None:
    specs = [spec("sleep 0.2", attempt_id=f"a-{os.getpid()}-{n}") for n in range(8)]
    started = await asyncio.gather(*(runner.start(each, account) for each in specs))
    assert len({each.process.pid for each in started if each is not None}) == 8
    ended = await asyncio.gather(*(runner.wait(each.attempt_id, None) for each in specs))
    assert {each.outcome for each in ended} == {"succeeded"}


async def test_killed_host_process_is_reported_and_nothing_of_the_attempt_lives_on(
    runner: HostRunner, account: AccountIdentity
) -> None:
    made = spec("echo begun; (setsid sleep 300 &) ; sleep 300; :")
    started = await runner.start(made, account)
    assert started is not None
    await until(lambda: len(processes_of(made.attempt_id)) == 3)
    os.kill(started.process.pid, signal.SIGKILL)
    ended = await asyncio.wait_for(runner.wait(made.attempt_id, None), 10)
    assert ended.outcome == "failed"
    assert "host process ended without a result" in ended.reason
    assert (ended.started_at, ended.log_bytes) == (started.started_at, 6)
    assert processes_of(made.attempt_id) == []


async def test_standby_that_died_is_replaced(runner: HostRunner, account: AccountIdentity) -> None:
    standby = runner._launcher._standby
    assert standby is not None
    os.kill(standby.pid, signal.SIGKILL)
    await asyncio.sleep(0.05)
    made = spec("true")
    assert await runner.start(made, account) is not None
    assert (await runner.wait(made.attempt_id, None)).outcome == "succeeded"


async def test_command_that_cannot_start_ends_without_having_started(
    runner: HostRunner, account: AccountIdentity
) -> None:
    made = spec("no shebang", kind="script")
    assert await runner.start(made, account) is None
    ended = await runner.wait(made.attempt_id, None)
    assert (ended.outcome, ended.exit_code) == ("failed", 126)
    assert "a script begins with #!" in ended.reason


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("shell", 'echo "$0|$1|$2"'),
        ("python", "import sys; print('bash', *sys.argv[1:], sep='|')"),
        ("script", '#!/bin/sh\necho "bash|$1|$2"'),
    ],
)
async def test_each_kind_gets_its_arguments_untouched(
    runner: HostRunner, account: AccountIdentity, kind: str, command: str
) -> None:
    made = spec(command, kind=kind, args=["a  b", "$HOME;'\""])
    await runner.start(made, account)
    assert (await runner.wait(made.attempt_id, None)).outcome == "succeeded"
    assert runner.log_path(made.attempt_id).read_text() == "bash|a  b|$HOME;'\"\n"


async def test_environment_identifies_the_attempt_and_cannot_be_overridden(
    runner: HostRunner, account: AccountIdentity
) -> None:
    asked = {"CUDA_VISIBLE_DEVICES": "7", "HOME": "/", "MINE": "ü", "LANG": "C"}
    made = spec("env", env=asked, number=3)
    await runner.start(made, account)
    await runner.wait(made.attempt_id, None)
    found = dict(
        line.split("=", 1)
        for line in runner.log_path(made.attempt_id).read_text().splitlines()
        if "=" in line
    )
    assert found["CUDA_VISIBLE_DEVICES"] == ""
    assert (found["HOME"], found["USER"], found["MINE"], found["LANG"]) == (
        str(account.home),
        "acme",
        "ü",
        "C",
    )
    assert (found["REMOTEGPU_TASK_ID"], found["REMOTEGPU_ATTEMPT"]) == ("t1", "3")
    assert found["REMOTEGPU_OUTPUT_DIR"] == str(runner.output_path(made.attempt_id))
    assert found["PYTHONUNBUFFERED"] == "1"
    assert "REMOTEGPU_AGENT_TOKEN" not in found


async def test_attempt_of_an_agent_whose_journal_was_lost_is_ended(
    runner: HostRunner, account: AccountIdentity, tmp_path: Path
) -> None:
    made = spec("sleep 300")
    await runner.start(made, account)
    (tmp_path / "attempts" / "half.new").mkdir()
    await runner.sweep({made.attempt_id})
    assert names(tmp_path / "attempts") == [made.attempt_id]
    await runner.sweep(set())
    assert names(tmp_path / "attempts") == []
    assert processes_of(made.attempt_id) == []


async def test_unreadable_output_directories_are_deleted_too(
    runner: HostRunner, account: AccountIdentity, tmp_path: Path
) -> None:
    made = spec(
        "mkdir -p $REMOTEGPU_OUTPUT_DIR/a/b; touch $REMOTEGPU_OUTPUT_DIR/a/b/c; chmod 0 $REMOTEGPU_OUTPUT_DIR/a"
    )
    await runner.start(made, account)
    await runner.wait(made.attempt_id, None)
    await runner.discard(made.attempt_id)
    await runner.discard(made.attempt_id)
    assert names(tmp_path / "attempts") == []


@pytest.mark.parametrize("attempt_id", ["..", "a/b", "", "a\n", "ä", "a.b"])
async def test_attempt_ids_that_are_no_file_names_are_refused(
    runner: HostRunner, account: AccountIdentity, attempt_id: str
) -> None:
    with pytest.raises(ValueError, match="expected letters, digits and -"):
        await runner.start(spec("true", attempt_id=attempt_id), account)


async def test_reused_pid_is_neither_waited_for_nor_signalled() -> None:
    process = await asyncio.create_subprocess_exec("sleep", "300")
    try:
        real = process_identity.identify(process.pid)
        assert real is not None
        other = ProcessIdentity(real.pid, real.start_ticks - 1, real.boot_id)
        earlier_boot = ProcessIdentity(real.pid, real.start_ticks, "another boot")
        for stranger in (other, earlier_boot):
            assert not process_identity.is_alive(stranger)
            assert not process_identity.send_signal(stranger, signal.SIGKILL)
            await asyncio.wait_for(process_identity.ended(stranger), 1)
        assert process.returncode is None
        assert process_identity.send_signal(real, signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 5) == -signal.SIGTERM
    finally:
        if process.returncode is None:
            process.kill()
