"""``remotegpu demo``: cold, then warm in the same data directory."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any  # Any: the report is free-form JSON

import pytest

from remotegpu.local.platform import Platform

pytestmark = pytest.mark.stack

PROGRAM = [sys.executable, "-m", "remotegpu.cli.main"]
COLD_S = 60.0
WARM_S = 20.0
"""The promise is 10 s on a quiet machine of two cores; this suite runs alone, but CI's disk may be slow."""
BUSY_LOAD = 4.0
"""Above twice as many runnable programs as cores a wall clock measures the others."""


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="remotegpu-demo-") as folder:
        Path(folder).chmod(0o711)  # as root, PostgreSQL runs as another account, which must pass
        yield Path(folder) / "data"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def perform(data_dir: Path, tmp_path: Path) -> tuple[dict[str, Any], float, str]:
    report = tmp_path / "report.json"
    command = [*PROGRAM, "demo", "--once", "--json", str(report), "--data-dir", str(data_dir)]
    began = time.monotonic()
    done = subprocess.run(
        [*command, "--port", str(free_port())], capture_output=True, text=True, check=False, timeout=200
    )
    seconds = time.monotonic() - began
    found: dict[str, Any] = json.loads(report.read_text())
    assert done.returncode == 0, done.stdout + done.stderr
    return found, seconds, done.stdout


def test_cold_start_does_the_whole_job(data_dir: Path, tmp_path: Path) -> None:
    busy = os.getloadavg()[0] > BUSY_LOAD
    report, seconds, output = perform(data_dir, tmp_path)
    assert report["ok"]
    assert all(step["ok"] for step in report["steps"])
    assert len(report["steps"]) >= 17
    assert "imulated" in output, "simulated GPUs are labelled"
    assert "epoch" in output, "the training log is shown"
    assert seconds < COLD_S or busy, f"{seconds:.1f} s"
    assert not Platform(data_dir).require_state().is_supervised, "--once leaves nothing running"


def test_warm_start_does_it_again(data_dir: Path, tmp_path: Path) -> None:
    busy = os.getloadavg()[0] > BUSY_LOAD
    report, seconds, _ = perform(data_dir, tmp_path)
    assert report["ok"]
    assert seconds < WARM_S or busy, f"{seconds:.1f} s"


def test_console_stays_until_it_is_ended(data_dir: Path) -> None:
    port = free_port()
    command = [*PROGRAM, "demo", "--data-dir", str(data_dir), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        shown = "".join(lines)
        assert f"http://127.0.0.1:{port}" in shown
        assert "sign in as admin@" in shown
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert not Platform(data_dir).require_state().is_supervised


def test_failed_step_is_reported_and_the_status_says_so(data_dir: Path, tmp_path: Path) -> None:
    """A port that somebody else has is the easiest failure to arrange."""
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        report = tmp_path / "report.json"
        command = [
            *PROGRAM,
            "demo",
            "--once",
            "--json",
            str(report),
            "--data-dir",
            str(data_dir),
            "--port",
            str(port),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 10, done.stderr
    assert f"Port {port}" in done.stderr
    found = json.loads(report.read_text())
    assert (found["ok"], found["steps"][0]["ok"]) == (False, False)
