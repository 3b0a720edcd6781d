"""An installation of the last published schema, with everything in it, is brought to this version."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import server_client as sc
from remotegpu.server import administration, settings
from remotegpu.server.migrations import chain
from services import Stack
from upgrade.releases import ADMIN_PASSWORD, MEMBER_PASSWORD, LiveServer, load_published

SEALED_BEFORE = 18
"""Links in the published trail."""
NEW = [revision.name for revision in chain.read()][2:]


def migrate(env: dict[str, str], *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "remotegpu.cli.main", "server", "migrate", "--json", *options]
    done = subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def published(empty_server_env: dict[str, str]) -> dict[str, str]:
    load_published(empty_server_env)
    return empty_server_env


@pytest.fixture
def live() -> Iterator[list[LiveServer]]:
    """Processes that a test started; all are stopped at its end."""
    started: list[LiveServer] = []
    yield started
    for server in started:
        server.stop()


async def readiness(server: LiveServer) -> tuple[int, str]:
    async with sc.http_session() as http:
        answer = await sc.Client(http, server.url).call("GET", "//health/ready")
        return answer.status, answer.json["checks"]["schema"]


def test_the_plan_names_what_is_new(published: dict[str, str]) -> None:
    plan = migrate(published, "--plan")
    assert plan["current"] == "0002_pre_session_credential"
    assert [revision["revision"] for revision in plan["pending"]] == NEW
    assert [known["applied"] for known in plan["revisions"]] == [True, True] + [False] * len(NEW)


async def test_everybody_finds_their_work_again(
    stack: Stack, published: dict[str, str], tmp_path: Path
) -> None:
    assert migrate(published)["applied"] == NEW
    with stack.connect(published) as connection:
        found = connection.execute(
            "SELECT revision, checksum FROM schema_ledger ORDER BY revision"
        ).fetchall()
    assert found == [(revision.name, revision.checksum) for revision in chain.read()]
    with sc.running_server(published, tmp_path) as server:
        async with sc.http_session() as http:
            admin = await sc.Client(http, server.url).sign_in(sc.ADMIN_EMAIL, ADMIN_PASSWORD)
            assert [one["name"] for one in (await admin.get("/customers"))["items"]] == ["Aurora Labs"]
            member = await sc.Client(http, server.url).sign_in("member@example.com", MEMBER_PASSWORD)
            machine = (await member.get("/machines"))["items"][0]
            assert machine["name"] == "node-kept"
            assert [task["name"] for task in (await member.get("/tasks"))["items"]] == ["kept task"]
            body = {"machine_id": machine["id"], "name": "next", "kind": "shell", "command": "true"}
            await member.post("/tasks", body, expect=201)
        report = await administration.verify_audit(settings.load({**published, "SERVER_PORT": "8080"}))
    assert report.ok
    assert report.sealed >= SEALED_BEFORE


async def test_server_and_worker_live_on_a_schema_that_is_behind_and_say_so(
    published: dict[str, str], tmp_path: Path, live: list[LiveServer]
) -> None:
    live.append(LiveServer(published, tmp_path / "server.log").start())
    live.append(LiveServer(published, tmp_path / "worker.log", program="worker").start())
    status, said = await readiness(live[0])
    assert status == 503
    assert said.startswith(f"found 0002_pre_session_credential, expected {NEW[-1]}")
    migrate(published, "--phase", "pre")
    assert await readiness(live[0]) == (200, "ok")
    assert [server.process.poll() for server in live if server.process] == [None, None]


async def test_server_and_worker_live_without_any_schema(
    empty_server_env: dict[str, str], tmp_path: Path, live: list[LiveServer]
) -> None:
    live.append(LiveServer(empty_server_env, tmp_path / "server.log").start())
    live.append(LiveServer(empty_server_env, tmp_path / "worker.log", program="worker").start())
    status, said = await readiness(live[0])
    assert status == 503
    assert said.startswith("there is no schema yet, expected")
    migrate(empty_server_env)
    assert await readiness(live[0]) == (200, "ok")
    assert [server.process.poll() for server in live if server.process] == [None, None]
