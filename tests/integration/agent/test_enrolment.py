"""``remotegpu agent enroll`` as people run it."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web

from integration.agent.fake_server import FakeServer
from remotegpu.agent.enrolment import read_env_file


async def enroll(
    tmp_path: Path, *arguments: str, token: str = "join-token\n", simulate: str = "2", server: str
) -> tuple[int, str, str]:
    """Exit status, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "remotegpu.cli.agent", "enroll", "--server", server, "--token-file", "-"),
        *("--env-file", str(tmp_path / "etc" / "agent.env"), "--data-dir", str(tmp_path / "data")),
        *("--simulate-gpus", simulate, "--isolation", "directory", *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(token.encode()), 30)
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def test_enrolling_writes_an_environment_file_the_agent_can_run_with(
    server: FakeServer, tmp_path: Path
) -> None:
    code, output, errors = await enroll(tmp_path, "--name", "rack-1", server=server.url + "/")
    assert (code, errors) == (0, "")
    assert "machine-1" in output
    assert server.token not in output
    file = tmp_path / "etc" / "agent.env"
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_env_file(file) == {
        "REMOTEGPU_SERVER_URL": server.url,
        "REMOTEGPU_AGENT_TOKEN": server.token,
        "REMOTEGPU_LOG_LEVEL": "info",
        "REMOTEGPU_DATA_DIR": str(tmp_path / "data"),
        "REMOTEGPU_SIMULATE_GPUS": "2",
        "REMOTEGPU_ISOLATION": "directory",
    }
    (request,) = server.enrolments
    assert (request.name, len(request.inventory.gpus)) == ("rack-1", 2)
    agent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "remotegpu.cli.agent", "run", "--env-file", str(file)),
        stdout=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"]},
    )
    try:
        async with asyncio.timeout(15):
            while not any(sync.inventory for sync in server.syncs):  # noqa: ASYNC110 — another process's doing
                await asyncio.sleep(0.02)
        sent = next(sync.inventory for sync in server.syncs if sync.inventory)
        assert sent.ssh_host_key == request.inventory.ssh_host_key
    finally:
        agent.terminate()
        assert await agent.wait() == 0


async def test_enrolled_host_is_not_enrolled_again_by_accident(server: FakeServer, tmp_path: Path) -> None:
    assert (await enroll(tmp_path, server=server.url))[0] == 0
    code, _, errors = await enroll(tmp_path, server=server.url)
    assert code == 1
    assert "--force" in errors
    assert len(server.enrolments) == 1
    assert (await enroll(tmp_path, "--force", server=server.url))[0] == 0


async def test_refused_join_token_is_explained_and_not_repeated_in_the_error(
    server: FakeServer, tmp_path: Path
) -> None:
    code, _, errors = await enroll(tmp_path, token="wrong-secret", server=server.url)
    assert code == 1
    assert "The join token has expired" in errors
    assert "create a new one" in errors
    assert "wrong-secret" not in errors
    assert not (tmp_path / "etc" / "agent.env").exists()


@pytest.mark.parametrize("token", ["", "two words", "bin\0ary", "ä"])
async def test_unusable_join_token_never_leaves_the_host(
    server: FakeServer, tmp_path: Path, token: str
) -> None:
    code, _, errors = await enroll(tmp_path, token=token, server=server.url)
    assert code == 1
    assert "stdin holds no join token" in errors or "refuses" in errors
    assert server.enrolments == []


async def test_address_without_a_server_is_named(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    code, _, errors = await enroll(tmp_path, server=url)
    assert code == 1
    assert f"cannot reach the server at {url}" in errors


async def test_another_kind_of_server_is_recognised(tmp_path: Path) -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    try:
        code, _, errors = await enroll(tmp_path, server=f"http://127.0.0.1:{port}")
    finally:
        await runner.cleanup()
    assert code == 1
    assert "is not a RemoteGPU server" in errors


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Self-signed certificate and key."""
    cert, key = tmp_path / "cert", tmp_path / "key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", str(key), "-out", str(cert), "-days", "1", "-subj", "/CN=x"),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


async def test_certificate_nobody_trusts_is_a_tls_problem(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    runner = web.AppRunner(web.Application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    try:
        code, _, errors = await enroll(tmp_path, server=f"https://127.0.0.1:{port}")
    finally:
        await runner.cleanup()
    assert code == 1
    assert "no secure connection" in errors
    assert "SSL_CERT_FILE" in errors


async def test_every_unusable_argument_is_named_at_once(tmp_path: Path) -> None:
    code, _, errors = await enroll(tmp_path, simulate="1000", server="gpu.example.com")
    assert code == 2
    assert "--server" in errors
    assert "--simulate-gpus" in errors


def test_status_says_when_no_agent_ever_ran(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "remotegpu.cli.agent", "status", "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "no agent ever ran" in done.stderr
