"""The process that owns one attempt, run for real."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from remotegpu.agent.tasks.host_launch import HOST_PROGRAM

Run = Callable[..., "Attempt"]


class Attempt:
    def __init__(self, path: Path, argv: list[str], **fields: Any) -> None:
        self.path = path
        path.mkdir()
        given = {
            "argv": argv,
            "env": {"PATH": os.environ["PATH"], "MARK": str(path)},
            "cwd": str(path),
            "uid": None,
            "gid": None,
            "user": "nobody",
            "timeout_s": 60,
            "grace_s": 0.5,
            "max_log_bytes": 1_000_000,
        }
        (path / "spec.json").write_text(json.dumps(given | fields))

    def start(self) -> None:
        self.host = self.spawn()

    def spawn(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(HOST_PROGRAM), str(self.path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def finish(self) -> dict[str, Any]:
        self.host.wait(20)
        assert self.host.stdout is not None
        self.host.stdout.close()
        return json.loads((self.path / "exit.json").read_text())

    def run(self) -> dict[str, Any]:
        self.start()
        return self.finish()

    @property
    def log(self) -> bytes:
        return (self.path / "log").read_bytes()

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.005)

    def processes(self) -> list[int]:
        """Everything that carries this attempt's environment."""
        mark, found = f"MARK={self.path}".encode(), []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[Run]:
    made: list[Attempt] = []

    def make(*argv: str, **fields: Any) -> Attempt:
        made.append(Attempt(tmp_path / str(len(made)), list(argv), **fields))
        return made[-1]

    yield make
    for each in made:
        for pid in each.processes():
            os.kill(pid, signal.SIGKILL)


def sh(script: str) -> tuple[str, str, str]:
    return ("/bin/bash", "-c", script)


def test_output_and_exit_code_are_kept(attempt: Run) -> None:
    made = attempt(*sh("echo out; echo err >&2; exit 3"))
    result = made.run()
    assert made.log == b"out\nerr\n"
    assert (result["outcome"], result["exit_code"], result["log_bytes"]) == ("failed", 3, 8)
    assert not result["truncated"]
    assert result["started_at"] <= result["finished_at"]
    assert json.loads((made.path / "started.json").read_text())["started_at"] == result["started_at"]


def test_success_and_output_that_is_not_utf8(attempt: Run) -> None:
    made = attempt(*sh(r"printf '\xff\xfe\x00\x80ok'"))
    assert made.run()["outcome"] == "succeeded"
    assert made.log == b"\xff\xfe\x00\x80ok"


def test_death_by_signal_is_a_negative_exit_code(attempt: Run) -> None:
    result = attempt(*sh("kill -SEGV $$")).run()
    assert (result["outcome"], result["exit_code"]) == ("failed", -signal.SIGSEGV)


def test_log_is_cut_at_its_limit_and_says_so(attempt: Run) -> None:
    made = attempt(*sh("head -c 3000000 /dev/zero | tr '\\0' x; echo end"), max_log_bytes=1000)
    result = made.run()
    assert made.log == b"x" * 1000 + b"\n[log truncated by RemoteGPU: 1000 of 3000004 bytes kept]\n"
    assert (result["outcome"], result["log_bytes"], result["truncated"]) == ("succeeded", 3_000_004, True)


def test_log_of_exactly_its_limit_is_not_called_truncated(attempt: Run) -> None:
    made = attempt(*sh("printf 12345"), max_log_bytes=5)
    assert not made.run()["truncated"]
    assert made.log == b"12345"


def test_timeout_kills_grandchildren_and_daemons_that_left_the_group(attempt: Run) -> None:
    daemon = "setsid bash -c '(sleep 300 & sleep 300) & sleep 300' & "
    made = attempt(*sh(daemon + "(sleep 300 &) ; trap '' TERM; sleep 300; sleep 300"), timeout_s=0.4)
    made.start()
    made.until(lambda: len(made.processes()) >= 5)
    began = time.monotonic()
    result = made.finish()
    assert made.processes() == []
    assert (result["outcome"], result["exit_code"]) == ("timed_out", -signal.SIGKILL)
    assert "0.4 s" in result["reason"]
    assert time.monotonic() - began < 5


def test_timeout_is_polite_first(attempt: Run) -> None:
    made = attempt(
        *sh("trap 'echo bye; exit 5' TERM; while :; do sleep 0.01; done"), timeout_s=0.3, grace_s=10
    )
    result = made.run()
    assert (result["outcome"], result["exit_code"]) == ("timed_out", 5)
    assert made.log.endswith(b"bye\n")


def test_what_the_command_left_behind_is_killed_when_it_ends(attempt: Run) -> None:
    made = attempt(*sh("(setsid sleep 300 &) ; sleep 300 & echo done"))
    result = made.run()
    assert result["outcome"] == "succeeded"
    assert made.log == b"done\n"
    assert made.processes() == []


def test_output_still_in_a_pipe_when_the_command_ends_is_not_lost(attempt: Run) -> None:
    made = attempt(*sh("exec > >(sleep 0.05; cat); echo late"))
    made.run()
    assert made.log == b"late\n"


@pytest.mark.parametrize("with_signal", [True, False])
def test_stop_file_ends_it_at_once_with_a_signal_and_soon_without(attempt: Run, with_signal: bool) -> None:
    made = attempt(*sh("(setsid sleep 300 &) ; sleep 300"), grace_s=5)
    made.start()
    made.until((made.path / "started.json").exists)
    (made.path / "stop").write_text("5\n")
    if with_signal:
        made.host.send_signal(signal.SIGTERM)
    began = time.monotonic()
    result = made.finish()
    assert (result["outcome"], result["exit_code"]) == ("stopped", -signal.SIGTERM)
    assert time.monotonic() - began < (0.5 if with_signal else 2)
    assert made.processes() == []


def test_second_stop_with_less_grace_shortens_the_first(attempt: Run) -> None:
    made = attempt(*sh("trap '' TERM; echo deaf; while :; do sleep 0.05; done"), grace_s=60)
    made.start()
    made.until(lambda: (made.path / "log").exists() and b"deaf" in (made.path / "log").read_bytes())
    (made.path / "stop").write_text("60\n")
    made.host.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert made.host.poll() is None
    (made.path / "stop").write_text("0\n")
    made.host.send_signal(signal.SIGTERM)
    assert made.finish()["exit_code"] == -signal.SIGKILL


def test_stop_before_the_start_starts_nothing(attempt: Run, tmp_path: Path) -> None:
    made = attempt(*sh(f"touch {tmp_path}/ran"))
    (made.path / "stop").write_text("5\n")
    result = made.run()
    assert (result["outcome"], result["exit_code"], result["started_at"]) == ("stopped", None, None)
    assert not (tmp_path / "ran").exists()


def test_host_told_to_end_without_a_stop_says_that_nobody_asked_for_it(attempt: Run) -> None:
    made = attempt(*sh("sleep 300"))
    made.start()
    made.until((made.path / "started.json").exists)
    made.host.send_signal(signal.SIGTERM)
    result = made.finish()
    assert result["outcome"] == "failed"
    assert "told to end" in result["reason"]
    assert made.processes() == []


def test_two_hosts_for_one_attempt_start_it_once(attempt: Run, tmp_path: Path) -> None:
    made = attempt(*sh(f"echo run >> {tmp_path}/runs; sleep 0.2"))
    hosts = [made.spawn() for _ in range(4)]
    codes = sorted(host.wait(20) for host in hosts)
    for host in hosts:
        assert host.stdout is not None
        host.stdout.close()
    assert codes == [0, 75, 75, 75]
    assert (tmp_path / "runs").read_text() == "run\n"


def test_command_dies_with_a_killed_host(attempt: Run) -> None:
    made = attempt("sleep", "300")
    made.start()
    made.until((made.path / "started.json").exists)
    made.host.kill()
    made.host.wait(10)
    made.until(lambda: made.processes() == [])
    assert not (made.path / "exit.json").exists()
    assert made.host.stdout is not None
    made.host.stdout.close()


@pytest.mark.parametrize(
    ("argv", "fields", "code", "said"),
    [
        (("/no/such/program",), {}, 127, "cannot start /no/such/program: No such file or directory"),
        (("/etc/passwd",), {}, 126, "cannot start /etc/passwd: Permission denied"),
        (("true",), {"cwd": "/no/such/dir"}, 127, "cannot start /no/such/dir: No such file or directory"),
        (("true", "nul\0byte"), {}, 126, "embedded null byte"),
        (("true",), {"env": {"A=B": "1"}}, 126, "illegal environment variable name"),
    ],
)
def test_command_that_cannot_start_fails_with_the_reason(
    attempt: Run, argv: tuple[str, ...], fields: dict[str, Any], code: int, said: str
) -> None:
    result = attempt(*argv, **fields).run()
    assert (result["outcome"], result["exit_code"]) == ("failed", code)
    assert said in result["reason"]


def test_command_gets_only_the_environment_it_was_given_and_default_signals(attempt: Run) -> None:
    made = attempt(*sh("env; trap; grep -E 'Sig(Ign|Blk)' /proc/self/status; ls -l /proc/self/fd"))
    made.run()
    text = made.log.decode()
    names = {line.split("=")[0] for line in text.splitlines() if "=" in line}
    assert names == {"PATH", "MARK", "PWD", "SHLVL", "_"}
    assert "SigBlk:\t0000000000000000" in text
    ignored = int(next(line for line in text.splitlines() if line.startswith("SigIgn:")).split()[1], 16)
    # Signal 32 is the C library's own: its posix_spawn (with which make starts us) leaves it ignored, no program can
    # change that through the library, and the library sets it again when a program cancels a thread.
    assert {number for number in signal.valid_signals() if ignored >> (number - 1) & 1} == set()
    assert " 0 -> /dev/null" in text
    assert {line.split()[-3] for line in text.splitlines() if "->" in line} == {"0", "1", "2", "3"}


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_command_runs_as_the_account(attempt: Run) -> None:
    made = attempt(*sh("id -u; id -g; id -G"), uid=65534, gid=65534, cwd="/")
    made.run()
    assert made.log.split() == [b"65534", b"65534", b"65534"]
