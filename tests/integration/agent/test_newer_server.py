"""A server one minor version ahead: its answers say more than this agent has heard of, and are read all the same."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from integration.agent.conftest import AgentProcess
from integration.agent.fake_server import ACCOUNT, FakeServer
from remotegpu.agent.client import ProtocolRefusedError, ServerClient, TokenRefusedError
from remotegpu.agent.enrolment import EnrolmentPlan, enrol, read_env_file
from remotegpu.protocol.attempts import AttemptSpec
from remotegpu.protocol.sync import AccountCleanup, StreamSpec, SyncRequest
from remotegpu.protocol.version import PROTOCOL_VERSION


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    """In place of the folder's own, also for its ``agent``."""
    fake = FakeServer(newer=True)
    await fake.start()
    yield fake
    await fake.stop()


async def test_agent_does_a_whole_job_for_a_newer_server(
    server: FakeServer, agent: AgentProcess, attempt: Callable[..., AttemptSpec]
) -> None:
    spec = attempt(
        'echo "hello $WORD"; echo result > $REMOTEGPU_OUTPUT_DIR/result.txt', env={"WORD": "neighbour"}
    )
    await server.run(spec)
    report = await server.report(spec.attempt_id, "succeeded", "failed")
    assert (report.state, report.reason) == ("succeeded", "")
    assert bytes(server.logs[spec.attempt_id]) == b"hello neighbour\n"
    assert [server.objects[file.sha256] for file in report.artifacts] == [b"result\n"]
    home = agent.data_dir / "accounts" / ACCOUNT.name
    assert home.exists()
    cleanup = AccountCleanup(name=ACCOUNT.name, allocation_id=ACCOUNT.allocation_id)
    await server.want(attempts=[], accounts=[], cleanups=[cleanup])
    await until(lambda: (ACCOUNT.name, ACCOUNT.allocation_id, "absent") in server.account_states())
    assert not home.exists()


async def test_host_enrols_at_a_newer_server(server: FakeServer, tmp_path: Path) -> None:
    token_file, env_file = tmp_path / "token", tmp_path / "agent.env"
    token_file.write_text("join-token\n")
    plan = EnrolmentPlan(
        server_url=server.url,
        token_file=str(token_file),
        env_file=env_file,
        data_dir=tmp_path / "data",
        simulate_gpus=1,
        isolation="directory",
    )
    response = await asyncio.to_thread(enrol, plan)
    assert response.machine_id == "machine-1"
    assert read_env_file(env_file)["REMOTEGPU_AGENT_TOKEN"] == server.token


async def test_every_answer_of_a_newer_server_is_read(server: FakeServer) -> None:
    stream = StreamSpec(stream_id="s1", path="/api/v1/agent/streams/s1?via=a")
    await server.want(streams=[stream], ssh_ca_keys=["ssh-ed25519 AAAA"])
    client = ServerClient(server.url, server.token)
    try:
        answer = await client.sync(a_request())
        assert answer.desired == server.desired
        rotation = await client.rotate_token()
        assert (rotation.agent_token, rotation.overlap_s) == (server.token, 60)
        with pytest.raises(TokenRefusedError, match="This node's token is not known"):
            await client.sync(a_request())
        client.token = server.token
        assert (await client.push_log("a1", 0, b"x", final=True)).next_offset == 1
        server.status = 426
        with pytest.raises(ProtocolRefusedError, match="As the test wants"):
            await client.sync(a_request())
    finally:
        await client.close()


def a_request() -> SyncRequest:
    return SyncRequest(
        agent_version="1",
        protocol_version=PROTOCOL_VERSION,
        boot_id="b",
        applied_revision=-1,
        clock=0.0,
        wait=False,
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110 — another process's doing
            await asyncio.sleep(0.01)
