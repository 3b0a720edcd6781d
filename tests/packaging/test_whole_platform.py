"""The wheel alone is enough: no Node, no clone."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import UV, CleanEnvironment


def test_wheel_carries_console_example_and_licence(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "remotegpu/server/console/index.html" in names
    assert any(name.startswith("remotegpu/server/console/assets/") and name.endswith(".js") for name in names)
    assert "remotegpu/local/example/train.py" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "node_modules" in name or name.startswith("tests/")]


@pytest.fixture(scope="module")
def computer(install: Callable[[str], CleanEnvironment]) -> CleanEnvironment:
    return install("local")


@pytest.mark.stack
def test_installing_the_bare_wheel_as_a_tool_and_up_is_all_it_takes(
    wheel: Path, tmp_path: Path, open_directory: Path
) -> None:
    tools = {"UV_TOOL_DIR": str(open_directory / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    path = f"{Path(UV).parent}:/usr/bin:/bin"  # uv, which installed the tool, and no Node
    env = {**os.environ, **tools, "PATH": path, "HOME": str(open_directory)}
    subprocess.run(
        [UV, "tool", "install", "--quiet", "--python", sys.executable, str(wheel)], env=env, check=True
    )
    program = str(tmp_path / "bin/remotegpu")
    options = ["--data-dir", str(open_directory / "data")]
    port = free_port()
    try:
        started = subprocess.run(
            [program, "up", *options, "--port", str(port), "--no-agent", "--detach"],
            env=env,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert started.returncode == 0, started.stdout + started.stderr
        assert "come now, once" in started.stderr
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=10) as answer:
            assert answer.status == 200
    finally:
        subprocess.run([program, "down", *options], env=env, check=False, timeout=60, capture_output=True)


def test_help_lists_every_program(computer: CleanEnvironment) -> None:
    done = computer.run("remotegpu", "--help")
    assert done.returncode == 0, done.stderr
    for word in ("login", "ssh", "up", "demo", "server", "agent"):
        assert word in done.stdout


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """As root, PostgreSQL runs as another account, which must pass; pytest's own directories are closed to it."""
    with tempfile.TemporaryDirectory(prefix="remotegpu-wheel-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.mark.stack
def test_up_serves_the_console_from_the_wheel(
    computer: CleanEnvironment, tmp_path: Path, open_directory: Path
) -> None:
    port = free_port()
    data = open_directory / "data"
    command = [
        str(computer.folder / "bin/remotegpu"),
        "up",
        "--data-dir",
        str(data),
        "--port",
        str(port),
        "--json",
    ]
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=variables, stdout=log, stderr=log, cwd=tmp_path, start_new_session=True
        )
    try:
        page = wait_for(f"http://127.0.0.1:{port}/", process)
        assert b'<div id="app"' in page, (tmp_path / "log").read_text()
        ready = json.loads(wait_for(f"http://127.0.0.1:{port}/health/ready", process))
        assert ready
    finally:
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(60) == 0, (tmp_path / "log").read_text()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> bytes:
    deadline = time.monotonic() + 90
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
