"""Whatever is killed comes back, and nothing that was written is lost."""

import os
import signal
import subprocess
import time

import pytest

from remotegpu.local import proc

from .conftest import Running

DATA_SERVICES = ("postgres", "valkey", "s3")


def _write(running: Running, value: str) -> None:
    running.sql("CREATE TABLE IF NOT EXISTS kept (value text)")
    running.sql(f"INSERT INTO kept VALUES ('{value}')")
    running.valkey().set("kept", value)
    running.bucket().put("kept", value.encode() * 1000)


def _assert_kept(running: Running, value: str) -> None:
    assert running.sql("SELECT value FROM kept") == [(value,)]
    assert running.valkey().get("kept") == value.encode()
    assert bytes(running.bucket().get("kept").bytes()) == value.encode() * 1000


def test_each_killed_child_is_restarted_with_its_data(running: Running) -> None:
    running.up()
    _write(running, "before")
    time.sleep(1.2)  # Valkey syncs its append-only file once a second, as configured
    for service in (*DATA_SERVICES, "console"):
        old = running.pid(service)
        os.kill(old, signal.SIGKILL)
        running.restarted(service, old)
    _assert_kept(running, "before")
    found = running.platform.state()
    assert found
    assert found.phase == "up"
    assert {entry.restarts for entry in found.services if not entry.step} == {1}


def test_children_die_with_a_killed_supervisor_and_up_recovers(running: Running) -> None:
    running.up()
    _write(running, "before")
    time.sleep(1.2)
    children = [identity for pid in running.leftovers() if (identity := proc.identity(pid))]
    running.kill_supervisor()
    assert proc.wait_gone(children, 10.0) == []
    running.up()
    _assert_kept(running, "before")


def test_everything_killed_at_once_comes_back(running: Running) -> None:
    running.up()
    _write(running, "before")
    time.sleep(1.2)
    running.kill_everything()
    running.up()
    _assert_kept(running, "before")


def test_a_child_that_survived_its_supervisor_is_taken_down_first(running: Running) -> None:
    running.up()
    survivor = proc.identity(running.pid("valkey"))
    assert survivor
    os.kill(survivor.pid, signal.SIGSTOP)  # a stopped process does not act on its death signal
    running.kill_supervisor()
    assert proc.is_alive(survivor)
    state = running.up()
    assert "valkey" in state.recovered
    assert not proc.is_alive(survivor)


def test_a_lock_file_with_a_reused_pid_does_not_keep_postgres_down(running: Running) -> None:
    running.up()
    _write(running, "before")
    time.sleep(1.2)
    running.kill_everything()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        lock_file = running.layout.postgres / "postmaster.pid"
        lines = lock_file.read_text().splitlines()
        lock_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        running.up()
        _assert_kept(running, "before")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_an_interrupted_first_start_is_finished_by_the_next(running: Running) -> None:
    running.begin()
    deadline = time.monotonic() + 20
    staging = running.layout.root / "postgres.new"
    while not staging.exists():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    running.kill_supervisor()
    running.up()
    assert not staging.exists()
    _write(running, "fresh")
    _assert_kept(running, "fresh")


def test_a_service_that_cannot_stay_up_is_given_up_with_its_reason(running: Running) -> None:
    running.up()
    configuration = running.layout.postgres / "postgresql.conf"
    configuration.write_text("this is no setting\n")
    os.kill(running.pid("postgres"), signal.SIGKILL)
    state = running.wait(lambda found: any(entry.state == "failed" for entry in found.services))
    failed = next(entry for entry in state.services if entry.state == "failed")
    assert failed.name == "postgres"
    assert "contains errors" in failed.error
    assert {entry.state for entry in state.services if entry.name in {"valkey", "s3"}} == {"ready"}


def test_down_leaves_nothing_running_and_data_in_place(running: Running) -> None:
    running.up()
    _write(running, "before")
    assert running.platform.stop(lambda _event: None)
    assert running.process
    assert running.process.wait(10) == 0
    assert running.leftovers() == []
    assert not running.platform.stop(lambda _event: None)
    running.up()
    _assert_kept(running, "before")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_the_foreground_process_stops_in_order_on_a_signal(running: Running, number: signal.Signals) -> None:
    running.up()
    assert running.process
    running.process.send_signal(number)
    _, said = running.process.communicate(timeout=30)
    assert running.process.returncode == 0
    stopped = [line.split()[1] for line in said.splitlines() if line.endswith("stopped")]
    assert stopped[0] == "console"
    assert set(stopped[1:]) == set(DATA_SERVICES)
    found = running.platform.state()
    assert found
    assert found.phase == "stopped"
