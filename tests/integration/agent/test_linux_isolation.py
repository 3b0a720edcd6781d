"""The whole agent with real Linux accounts."""

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from integration.agent.conftest import AgentProcess
from integration.agent.fake_server import FakeServer
from remotegpu.protocol.attempts import AttemptSpec
from remotegpu.protocol.sync import AccountCleanup, AccountSpec

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make accounts"),
]


@pytest.fixture
async def account(server: FakeServer) -> AsyncIterator[AccountSpec]:
    """A leased account that is gone again after the test, whatever happens."""
    spec = AccountSpec(name=f"rgtest-{uuid.uuid4().hex[:8]}", allocation_id="lease-1")
    await server.want(accounts=[spec])
    yield spec
    for command in (["pkill", "-KILL", "-u", spec.name], ["userdel", "--force", "--remove", spec.name]):
        await asyncio.to_thread(subprocess.run, command, check=False, capture_output=True)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A place that accounts can pass through, which a test's own is not."""
    folder = Path(tempfile.mkdtemp(prefix="rgtest-", dir="/var/tmp"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def linux_agent(
    server: FakeServer, account: AccountSpec, open_folder: Path
) -> AsyncIterator[AgentProcess]:
    del account
    agent = AgentProcess(server, open_folder / "data")
    agent.env["REMOTEGPU_ISOLATION"] = "linux"
    agent.env["REMOTEGPU_PYTHON"] = "/usr/bin/python3"
    await agent.start()
    yield agent
    await agent.terminate()


async def test_task_runs_as_the_account_and_the_end_of_the_lease_leaves_nothing(
    server: FakeServer,
    account: AccountSpec,
    linux_agent: AgentProcess,
    attempt: Callable[..., AttemptSpec],
) -> None:
    spec = attempt(
        "id -un; pwd; umask; echo x > $REMOTEGPU_OUTPUT_DIR/x; touch ~/mine /tmp/$(id -un); "
        f"cat {linux_agent.data_dir}/journal.sqlite3 || ls {linux_agent.data_dir} || echo private",
        account=account.name,
    )
    sleeper = attempt("(setsid sleep 300 &) ; sleep 300", account=account.name)
    await server.run(spec, sleeper)
    report = await server.report(spec.attempt_id, "succeeded")
    lines = bytes(server.logs[spec.attempt_id]).decode().splitlines()
    home = pwd.getpwnam(account.name).pw_dir
    assert lines[:3] == [account.name, home, "0022"]
    assert lines[-1] == "private"
    assert [file.path for file in report.artifacts] == ["x"]
    await server.report(sleeper.attempt_id, "running")
    cleanup = AccountCleanup(name=account.name, allocation_id=account.allocation_id)
    await server.want(accounts=[], cleanups=[cleanup])
    async with asyncio.timeout(30):
        while (account.name, "lease-1", "absent") not in server.account_states():  # noqa: ASYNC110 — the agent's doing
            await asyncio.sleep(0.02)
    assert (await server.report(sleeper.attempt_id, "stopped")).exit_code == -15
    with pytest.raises(KeyError):
        pwd.getpwnam(account.name)
    assert [
        path for path in (home, f"/tmp/{account.name}") if await asyncio.to_thread(os.path.exists, path)
    ] == []
