"""``remotegpu up`` with everything: server, worker and this machine's agent on top of the data services."""

import datetime as dt
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remotegpu.kit import files
from remotegpu.local import bootstrap, proc
from remotegpu.local.bootstrap import SignIn
from remotegpu.local.plan import JSON_LOGS
from remotegpu.local.platform import Platform

from .conftest import Running, free_port

SERVICES = {"postgres", "valkey", "s3", "server", "worker", "agent"}


def _cli(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "remotegpu.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


def _up(running: Running, *extra: str) -> dict[str, Any]:
    done = _cli(
        "up", "--detach", "--json", "--data-dir", str(running.directory), "--port", str(running.port),
        "--simulate-gpus", "1", *extra,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _sign_in(running: Running) -> SignIn:
    password = running.platform.admin_password()
    assert password
    signed_in = bootstrap.sign_in(running.port, password)
    assert signed_in
    return signed_in


def _get(running: Running, path: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    token = _sign_in(running).api.token
    connection.request("GET", f"/api/v1{path}", headers={"authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    body = json.loads(answer.read())
    assert answer.status == 200, body
    return body


def _machine_online(running: Running) -> str:
    """The id of the one machine, once the server sees it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        machines = _get(running, "/machines")["items"]
        if machines and machines[0]["state"] == "online" and machines[0]["reachable"]:
            assert len(machines) == 1
            return machines[0]["id"]
        time.sleep(0.2)
    raise AssertionError("this machine did not come online")


@pytest.fixture(scope="module")
def whole() -> Iterator[Running]:
    directory = Path(tempfile.mkdtemp(prefix="remotegpu-whole-"))
    directory.chmod(0o755)
    running = Running(directory / "data", free_port())
    yield running
    running.end()
    left = running.leftovers()
    shutil.rmtree(directory, ignore_errors=True)
    assert left == []


def test_the_first_start_ends_with_a_working_platform(whole: Running) -> None:
    document = _up(whole)
    assert document["state"] == "up"
    assert {service["name"] for service in document["services"]} == SERVICES
    assert not _sign_in(whole).must_change
    password_file = Path(document["admin_password_file"])
    assert password_file.stat().st_mode & 0o777 == 0o600
    assert _machine_online(whole)


def test_status_shows_every_process(whole: Running) -> None:
    _up(whole)
    done = _cli("status", "--json", "--data-dir", str(whole.directory))
    assert done.returncode == 0
    for service in json.loads(done.stdout)["services"]:
        assert service["state"] == "ready"
        assert proc.identity(service["pid"])
        assert service["memory_bytes"] > 2**20
        assert service["uptime_s"] >= 0
    password = whole.platform.admin_password()
    assert password
    assert password not in done.stdout


def test_our_programs_logs_are_json_from_the_first_line(whole: Running) -> None:
    _up(whole)
    for name in JSON_LOGS:
        first = json.loads(whole.layout.log(name).read_text().splitlines()[0])
        assert first["program"] == name
        assert {"time", "level", "msg"} <= first.keys()


def test_no_process_shows_a_secret(whole: Running) -> None:
    _up(whole)
    secrets = [path.read_text().strip() for path in whole.layout.secrets.iterdir() if path.is_file()]
    for pid in whole.leftovers():
        shown = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        assert not [secret for secret in secrets if secret in shown], shown


def test_everything_listens_on_loopback_only(whole: Running) -> None:
    _up(whole)
    inodes = {
        str(link.readlink())
        for pid in whole.leftovers()
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.is_symlink()
    }
    listening = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and f"socket:[{line.split()[9]}]" in inodes
    ]
    assert len(listening) >= 4
    assert {fields[1].split(":")[0] for fields in listening} == {"0100007F"}


def test_a_second_detached_up_is_a_success_that_changes_nothing(whole: Running) -> None:
    first = _up(whole)
    second = _up(whole)
    assert second["supervisor_pid"] == first["supervisor_pid"]


def test_each_killed_program_comes_back(whole: Running) -> None:
    _up(whole)
    machine = _machine_online(whole)
    for service in ("worker", "agent", "server", "postgres"):
        old = whole.pid(service)
        os.kill(old, signal.SIGKILL)
        whole.restarted(service, old)
    assert _machine_online(whole) == machine


def test_after_killing_all_of_it_up_recovers_the_same_platform(whole: Running) -> None:
    _up(whole)
    machine, password = _machine_online(whole), whole.platform.admin_password()
    whole.kill_everything()
    crashed = _cli("status", "--data-dir", str(whole.directory))
    assert crashed.returncode == 3
    assert "crashed" in crashed.stdout
    _up(whole)
    assert whole.platform.admin_password() == password
    assert _machine_online(whole) == machine


def test_a_customers_task_outlives_agent_and_supervisor(whole: Running) -> None:
    _up(whole)
    machine = _machine_online(whole)
    admin = _sign_in(whole).api
    customer = admin.post("/customers", {"company_code": f"acme-{os.urandom(3).hex()}", "name": "Acme"})
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    lease = {"machine_id": machine, "customer_id": customer["id"], "ends_at": f"{tomorrow:%FT%TZ}"}
    allocation = admin.post("/allocations", lease)
    try:
        wanted = {"machine_id": machine, "name": "long", "kind": "shell", "command": "sleep 6; echo through"}
        task = admin.post("/tasks", wanted)["id"]
        _task_in(whole, task, "running")
        state = whole.platform.state()
        assert state
        children = [identity for pid in whole.leftovers() if (identity := proc.identity(pid))]
        os.kill(state.supervisor.pid, signal.SIGKILL)
        proc.wait_gone(children, 20)
        _up(whole)
        done = _task_in(whole, task, "succeeded")
        assert [attempt["number"] for attempt in done["attempts"]] == [1]
    finally:
        _sign_in(whole).api.post(f"/allocations/{allocation['id']}/end", {"reason": "the test is over"})
        _machine_online(whole)


def _task_in(running: Running, task: str, state: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = _get(running, f"/tasks/{task}")
        if found["state"] == state:
            return found
        time.sleep(0.2)
    raise AssertionError(f"the task did not become {state}: {found}")


def test_down_ends_everything_and_says_so(whole: Running) -> None:
    _up(whole)
    assert _cli("down", "--data-dir", str(whole.directory)).returncode == 0
    assert whole.leftovers() == []
    again = _cli("down", "--data-dir", str(whole.directory))
    assert (again.returncode, again.stdout) == (0, "Nothing was running.\n")
    assert _cli("status", "--data-dir", str(whole.directory)).returncode == 3


def test_a_warm_start_is_quick(whole: Running) -> None:
    """5 s on two idle cores; other work on the machine stretches it in proportion."""
    _up(whole)
    Platform(whole.directory, port=whole.port).stop(lambda _event: None)
    warm = _up(whole)
    busy = max(1.0, 1 + os.getloadavg()[0] / (os.cpu_count() or 1))
    assert warm["started_in_s"] < 5 * busy, f"{warm['started_in_s']} s at load {os.getloadavg()[0]}"


def test_a_changed_password_is_no_longer_kept(whole: Running) -> None:
    _up(whole)
    kept = whole.platform.admin_password()
    assert kept
    chosen = "Tr0ub4dor&3-horse"
    _sign_in(whole).api.post("/auth/password", {"current_password": kept, "new_password": chosen})
    try:
        Platform(whole.directory, port=whole.port).stop(lambda _event: None)
        _up(whole)
        deadline = time.monotonic() + 20
        while whole.platform.admin_password_file and time.monotonic() < deadline:
            time.sleep(0.1)
        assert whole.platform.admin_password_file is None
    finally:
        signed_in = bootstrap.sign_in(whole.port, chosen)
        assert signed_in
        signed_in.api.post("/auth/password", {"current_password": chosen, "new_password": kept})
        files.write_private(whole.layout.admin_password, kept)  # the other tests sign in with it
