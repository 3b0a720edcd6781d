"""A GPU host gets ``remotegpu[agent]`` and nothing of the server."""

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import CleanEnvironment


@pytest.fixture(scope="module")
def host(install: Callable[[str], CleanEnvironment]) -> CleanEnvironment:
    return install("agent")


def test_the_server_is_not_there(host: CleanEnvironment) -> None:
    there = [
        name for name in ("litestar", "sqlalchemy", "uvicorn", "psycopg", "redis", "numpy") if host.has(name)
    ]
    assert there == []


def test_agent_describes_itself(host: CleanEnvironment) -> None:
    done = host.run("remotegpu-agent", "--help")
    assert done.returncode == 0, done.stderr
    assert "enroll" in done.stdout


def test_agent_keeps_trying_while_the_server_is_away(host: CleanEnvironment, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound but not listening: a connection is refused
        port = closed.getsockname()[1]
        variables = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "REMOTEGPU_SERVER_URL": f"http://127.0.0.1:{port}",
            "REMOTEGPU_AGENT_TOKEN": "rga_" + "0" * 43,
            "REMOTEGPU_DATA_DIR": str(tmp_path / "agent"),
            "REMOTEGPU_ISOLATION": "directory",
        }
        log = tmp_path / "log"
        with log.open("wb") as output:
            command = [str(host.folder / "bin/remotegpu-agent"), "run"]
            process = subprocess.Popen(command, env=variables, stdout=output, stderr=output, cwd=tmp_path)
        try:
            assert wait_for_lines(log, str(port), 2), log.read_text()
            assert process.poll() is None, "an agent that gives up leaves its host unmanaged"
        finally:
            process.terminate()
            assert process.wait(20) == 0, log.read_text()


def wait_for_lines(log: Path, word: str, count: int) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if sum(word in line for line in log.read_text().splitlines()) >= count:
            return True
        time.sleep(0.1)
    return False


def test_a_server_command_names_the_missing_part(host: CleanEnvironment) -> None:
    done = host.run("remotegpu", "server", "openapi")
    assert done.returncode == 1
    assert "is not installed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mistyped_command_is_a_usage_error_here_too(host: CleanEnvironment) -> None:
    done = host.run("remotegpu", "agnet")
    assert done.returncode == 2
    assert "agent" in done.stderr
