"""The whole agent as a process against a server that speaks the protocol."""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import pytest

from integration.agent.conftest import AgentProcess
from integration.agent.fake_server import ACCOUNT, FakeServer
from remotegpu.protocol.attempts import AttemptSpec
from remotegpu.protocol.sync import AccountCleanup

Attempt = Callable[..., AttemptSpec]


async def _until(condition: Callable[[], bool], timeout: float = 15) -> None:  # noqa: ASYNC109
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


async def test_a_task_runs_and_its_log_and_artifacts_arrive(
    server: FakeServer, agent: AgentProcess, attempt: Attempt
) -> None:
    spec = attempt(
        'import os,sys; print("hello", *sys.argv[1:]); '
        'd=os.environ["REMOTEGPU_OUTPUT_DIR"]; os.makedirs(d+"/sub"); '
        'open(d+"/sub/données 1.bin","wb").write(b"\\0"*3_000_000); open(d+"/empty","w"); '
        'os.symlink("/etc/passwd", d+"/link"); '
        'print(os.environ["CUDA_VISIBLE_DEVICES"], os.environ["REMOTEGPU_ATTEMPT"], os.getcwd())',
        kind="python",
        args=["a b", "ü"],
        gpu_indices=[0, 2],
    )
    await server.run(spec)
    report = await server.report(spec.attempt_id, "succeeded")
    home = agent.data_dir / "accounts" / ACCOUNT.name
    assert bytes(server.logs[spec.attempt_id]).decode() == f"hello a b ü\n0,2 1 {home}\n"
    assert spec.attempt_id in server.log_final
    assert [(file.path, file.size_bytes) for file in report.artifacts] == [
        ("empty", 0),
        ("sub/données 1.bin", 3_000_000),
    ]
    assert report.artifacts[1].sha256 == hashlib.sha256(b"\0" * 3_000_000).hexdigest()
    assert len(server.objects[report.artifacts[1].sha256]) == 3_000_000
    assert "link" in report.reason
    assert (report.exit_code, report.log_truncated) == (0, False)
    await server.want(attempts=[])
    await _until(lambda: not (agent.data_dir / "attempts" / spec.attempt_id).exists())


@pytest.mark.usefixtures("agent")
async def test_running_is_reported_before_the_end_and_the_log_follows_within_moments(
    server: FakeServer, attempt: Attempt
) -> None:
    spec = attempt("echo first; sleep 0.5; echo second; sleep 0.5")
    await server.run(spec)
    running = await server.report(spec.attempt_id, "running")
    assert running.started_at is not None
    await _until(lambda: bytes(server.logs.get(spec.attempt_id, b"")) == b"first\n", timeout=0.4)
    await server.report(spec.attempt_id, "succeeded")
    assert bytes(server.logs[spec.attempt_id]) == b"first\nsecond\n"


async def test_agent_killed_in_the_middle_runs_the_attempt_once_and_loses_nothing(
    server: FakeServer, agent: AgentProcess, attempt: Attempt, tmp_path: Path
) -> None:
    marker = tmp_path / "starts"
    spec = attempt(
        f"echo start >> {marker}; for i in $(seq 40); do echo line $i; sleep 0.05; done; "
        "echo result > $REMOTEGPU_OUTPUT_DIR/result.txt; exit 7"
    )
    await server.run(spec)
    await server.report(spec.attempt_id, "running")
    await asyncio.sleep(0.3)
    await agent.kill()
    await asyncio.sleep(0.5)
    await agent.start()
    await asyncio.sleep(0.3)
    await agent.kill()
    await asyncio.sleep(1.5)  # the attempt ends while no agent is there
    await agent.start()
    report = await server.report(spec.attempt_id, "failed")
    assert report.exit_code == 7
    assert marker.read_text() == "start\n"
    expected = "".join(f"line {number}\n" for number in range(1, 41))
    assert bytes(server.logs[spec.attempt_id]).decode() == expected
    assert report.log_bytes == len(expected)
    assert server.objects[report.artifacts[0].sha256] == b"result\n"


@pytest.mark.parametrize("delay", [0.0, 0.004, 0.008, 0.015, 0.03, 0.06])
async def test_agent_killed_while_it_starts_an_attempt_starts_it_exactly_once(
    server: FakeServer, agent: AgentProcess, attempt: Attempt, tmp_path: Path, delay: float
) -> None:
    await _until(lambda: (ACCOUNT.name, "alloc-1", "present") in server.account_states())
    specs = [attempt(f"echo {n} >> {tmp_path / 'starts'}; sleep 0.2") for n in range(4)]
    await server.run(*specs)
    await asyncio.sleep(delay)
    await agent.kill()
    await agent.start()
    for spec in specs:
        assert (await server.report(spec.attempt_id, "succeeded", "failed")).state == "succeeded"
    assert sorted((tmp_path / "starts").read_text().split()) == ["0", "1", "2", "3"]


@pytest.mark.usefixtures("agent")
async def test_server_away_for_a_while_costs_nothing(server: FakeServer, attempt: Attempt) -> None:
    spec = attempt("for i in $(seq 20); do echo line $i; sleep 0.05; done; echo x > $REMOTEGPU_OUTPUT_DIR/x")
    await server.run(spec)
    await server.report(spec.attempt_id, "running")
    await server.stop()
    await asyncio.sleep(1.5)
    await server.start()
    report = await server.report(spec.attempt_id, "succeeded")
    assert bytes(server.logs[spec.attempt_id]).count(b"\n") == 20
    assert [file.path for file in report.artifacts] == ["x"]


@pytest.mark.usefixtures("agent")
async def test_object_store_away_delays_the_final_report_but_loses_no_artifact(
    server: FakeServer, attempt: Attempt
) -> None:
    server.store_is_away = True
    spec = attempt("echo x > $REMOTEGPU_OUTPUT_DIR/x")
    await server.run(spec)
    await _until(lambda: spec.attempt_id in server.log_final)
    await asyncio.sleep(0.5)
    assert all(report.state == "running" for report in server.reports[spec.attempt_id])
    server.store_is_away = False
    report = await server.report(spec.attempt_id, "succeeded")
    assert server.objects[report.artifacts[0].sha256] == b"x\n"


@pytest.mark.usefixtures("agent")
async def test_server_that_lost_the_log_gets_it_again_from_where_it_asks(
    server: FakeServer, attempt: Attempt
) -> None:
    spec = attempt("for i in $(seq 30); do echo line $i; sleep 0.03; done")
    await server.run(spec)
    await _until(lambda: len(server.logs.get(spec.attempt_id, b"")) > 50)
    server.forget_logs_once = True
    await server.report(spec.attempt_id, "succeeded")
    assert not server.forget_logs_once, "the server never got to forget"
    assert bytes(server.logs[spec.attempt_id]).decode() == "".join(f"line {i}\n" for i in range(1, 31))


@pytest.mark.usefixtures("agent")
async def test_stop_ends_the_attempt_and_everything_it_started(
    server: FakeServer, attempt: Attempt, leftovers: Callable[[], list[int]]
) -> None:
    spec = attempt("(setsid sleep 300 &) ; trap '' TERM; sleep 300", grace_s=1)
    await server.run(spec)
    await server.report(spec.attempt_id, "running")
    await asyncio.sleep(0.2)
    await server.want(attempts=[msgspec.structs.replace(spec, stop=True)])
    report = await server.report(spec.attempt_id, "stopped")
    assert report.exit_code == -9
    assert leftovers() == []


async def test_attempt_no_longer_desired_is_ended_and_forgotten(
    server: FakeServer, agent: AgentProcess, attempt: Attempt, leftovers: Callable[[], list[int]]
) -> None:
    spec = attempt("sleep 300")
    await server.run(spec)
    await server.report(spec.attempt_id, "running")
    await server.want(attempts=[])
    await _until(lambda: not (agent.data_dir / "attempts" / spec.attempt_id).exists())
    assert leftovers() == []


async def test_refused_attempt_is_ended_although_it_is_still_listed(
    server: FakeServer, agent: AgentProcess, attempt: Attempt, leftovers: Callable[[], list[int]]
) -> None:
    spec = attempt("sleep 300")
    await server.run(spec)
    await server.report(spec.attempt_id, "running")
    server.refused_attempts = [spec.attempt_id]
    await server.want()
    await _until(lambda: not (agent.data_dir / "attempts" / spec.attempt_id).exists())
    await server.want()
    await asyncio.sleep(0.3)
    assert not (agent.data_dir / "attempts" / spec.attempt_id).exists()
    assert leftovers() == []


async def test_server_that_forgot_a_result_is_told_again_without_a_second_run(
    server: FakeServer, agent: AgentProcess, attempt: Attempt, tmp_path: Path
) -> None:
    spec = attempt(f"echo run >> {tmp_path / 'runs'}; exit 4")
    await server.run(spec)
    await server.report(spec.attempt_id, "failed")
    await server.want(attempts=[])
    await _until(lambda: not (agent.data_dir / "attempts" / spec.attempt_id).exists())
    await asyncio.sleep(0.2)
    server.reports.clear()
    server.desired = msgspec.structs.replace(server.desired, revision=0)  # restored from a backup
    await server.run(spec)
    report = await server.report(spec.attempt_id, "failed")
    assert report.exit_code == 4
    assert (tmp_path / "runs").read_text() == "run\n"


async def test_end_of_the_lease_kills_wipes_and_proves_it(
    server: FakeServer, agent: AgentProcess, attempt: Attempt, leftovers: Callable[[], list[int]]
) -> None:
    spec = attempt("touch ~/secret; sleep 300")
    await server.run(spec)
    await server.report(spec.attempt_id, "running")
    home = agent.data_dir / "accounts" / ACCOUNT.name
    await _until((home / "secret").exists)
    await server.want(
        accounts=[], cleanups=[AccountCleanup(name=ACCOUNT.name, allocation_id="alloc-1")], attempts=[spec]
    )
    await _until(lambda: (ACCOUNT.name, "alloc-1", "absent") in server.account_states())
    assert not home.exists()
    assert leftovers() == []
    assert (await server.report(spec.attempt_id, "stopped")).exit_code == -15


async def test_agent_stops_cleanly_on_sigterm_and_the_attempt_goes_on(
    server: FakeServer, agent: AgentProcess, attempt: Attempt, leftovers: Callable[[], list[int]]
) -> None:
    spec = attempt("sleep 4; echo done")
    await server.run(spec)
    await server.report(spec.attempt_id, "running")
    began = time.monotonic()
    assert await agent.terminate() == 0
    assert time.monotonic() - began < 3
    assert leftovers() != []
    await agent.start()
    await server.report(spec.attempt_id, "succeeded")
    assert bytes(server.logs[spec.attempt_id]) == b"done\n"


async def test_node_token_is_rotated_when_asked_and_survives_a_restart(
    server: FakeServer, agent: AgentProcess
) -> None:
    await _until(lambda: bool(server.syncs))
    await server.want(rotate_token=True)
    await _until(lambda: server.token == "node-token-rotated")
    await server.want(rotate_token=False)
    await agent.kill()
    count = len(server.syncs)
    await agent.start()  # with the old token in its environment
    await _until(
        lambda: len(server.syncs) > count
    )  # what comes with another token is refused, and not counted


async def test_a_second_agent_on_the_same_data_directory_is_refused(
    server: FakeServer, agent: AgentProcess
) -> None:
    await _until(lambda: bool(server.syncs))
    second = AgentProcess(server, agent.data_dir)
    await second.start()
    assert second.process is not None
    assert await asyncio.wait_for(second.process.wait(), 10) == 3
    assert "another agent runs with the data directory" in second.output.read_text()


@pytest.mark.usefixtures("agent")
async def test_first_report_carries_the_inventory_and_later_ones_do_not(server: FakeServer) -> None:
    await _until(lambda: any(sync.inventory for sync in server.syncs))
    await server.want(sample_interval_s=0.5)
    await _until(lambda: sum(sync.sample is not None for sync in server.syncs) >= 3)
    first = next(index for index, sync in enumerate(server.syncs) if sync.inventory)
    inventory = server.syncs[first].inventory
    assert inventory is not None
    assert inventory.gpus[0].simulated
    assert inventory.isolation == "directory"
    assert inventory.ssh_host_key.startswith("ssh-ed25519 ")
    assert server.syncs[-1].inventory is None
    assert server.syncs[-1].inventory_hash


async def test_resident_memory_and_log_format(server: FakeServer, agent: AgentProcess) -> None:
    await _until(lambda: any(sync.sample for sync in server.syncs))
    assert agent.process is not None
    assert psutil.Process(agent.process.pid).memory_info().rss <= 60 * 1024 * 1024
    lines = [json.loads(line) for line in agent.output.read_text().splitlines()]
    assert all(list(line)[:3] == ["time", "level", "msg"] for line in lines)
    assert server.token not in agent.output.read_text()
