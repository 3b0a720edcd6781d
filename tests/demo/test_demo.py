"""``remotegpu demo``: cold, then warm in the same data directory."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any  # Any: the report is free-form JSON

import pytest

from remotegpu.local.platform import Platform

pytestmark = pytest.mark.stack

PROGRAM = [sys.executable, "-m", "remotegpu.cli.main"]
COLD_S, WARM_S = 60.0, 10.0
"""What a newcomer is promised, for the sum of the report's own steps."""
QUIET_LOAD = 1.0
"""Per core. Above it a wall clock measures the other programs, and the promise cannot be judged."""


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="remotegpu-demo-") as folder:
        Path(folder).chmod(0o711)  # as root, PostgreSQL runs as another account, which must pass
        yield Path(folder) / "data"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def load_per_core() -> float:
    return os.getloadavg()[0] / len(os.sched_getaffinity(0))


def perform(data_dir: Path, tmp_path: Path) -> tuple[dict[str, Any], str]:
    report = tmp_path / "report.json"
    command = [*PROGRAM, "demo", "--once", "--json", str(report), "--data-dir", str(data_dir)]
    done = subprocess.run(
        [*command, "--port", str(free_port())], capture_output=True, text=True, check=False, timeout=200
    )
    found: dict[str, Any] = json.loads(report.read_text())
    assert done.returncode == 0, done.stdout + done.stderr
    return found, done.stdout


def judge_time(report: dict[str, Any], promised_s: float, load: float) -> None:
    """``load``: per core, before the run. Says aloud when it could not be judged: silence would look like a pass."""
    seconds = sum(step["seconds"] for step in report["steps"])
    if load >= QUIET_LOAD:
        warnings.warn(
            f"the demo's time was not judged: load per core was {load:.1f} before it, expected below {QUIET_LOAD:.0f}"
            f"; it took {seconds:.1f} s, promised are {promised_s:.0f} s",
            stacklevel=2,
        )
        return
    slowest = sorted(report["steps"], key=lambda step: step["seconds"], reverse=True)[:3]
    assert seconds < promised_s, f"{seconds:.1f} s with a load per core of {load:.1f}; slowest: {slowest}"


def test_cold_start_does_the_whole_job(data_dir: Path, tmp_path: Path) -> None:
    load = load_per_core()
    report, output = perform(data_dir, tmp_path)
    assert report["ok"]
    assert all(step["ok"] for step in report["steps"])
    assert len(report["steps"]) >= 17
    assert "imulated" in output, "simulated GPUs are labelled"
    assert "epoch" in output, "the training log is shown"
    assert not Platform(data_dir).require_state().is_supervised, "--once leaves nothing running"
    judge_time(report, COLD_S, load)


def test_warm_start_does_it_again(data_dir: Path, tmp_path: Path) -> None:
    load = load_per_core()
    report, _ = perform(data_dir, tmp_path)
    assert report["ok"]
    judge_time(report, WARM_S, load)


def test_slow_demo_fails_on_a_quiet_machine_and_is_said_aloud_on_a_busy_one() -> None:
    slow = {"steps": [{"name": "a", "seconds": WARM_S - 1}, {"name": "b", "seconds": 1.5}]}
    with pytest.raises(AssertionError, match=r"10\.5 s"):
        judge_time(slow, WARM_S, load=0.9)
    with pytest.warns(UserWarning, match="not judged"):
        judge_time(slow, WARM_S, load=1.0)


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
