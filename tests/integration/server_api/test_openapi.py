"""The published document is true: what it allows is answered as it says, for every role, and nothing breaks.

schemathesis derives requests from the document, good and bad ones, deterministically (fixed seed), and compares.
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import server_client as sc
from integration.server_api.routes import endpoints
from integration.server_api.world import World
from remotegpu.server.core.context import Role
from server_client import Client, ServerProcess

LEFT_OUT = {
    "/api/v1/events": "an event stream that does not end; its messages are tested in test_switched_off and the console",
    "/api/v1/tasks/{task_id}/log/stream": "the same",
}
"""Streaming routes: a document cannot describe what comes in a stream, and the request would not end."""
SLOW_TO_GENERATE = ("/api/v1/tasks", "/api/v1/join-tokens", "/api/v1/agent/enroll")
"""Boundary values of long texts with patterns take schemathesis 15 s; test_bad_bodies sends them in one."""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "ignored_auth",
)
REFUSED = "[400, 401, 403, 404, 405, 409, 413, 415, 422, 426, 429]"
SEED = "20261124"


@pytest.fixture(scope="module")
def server(
    module_server_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """Polls of agents end after a second here."""
    variables = {**module_server_env, "AGENT_DIAL_TIMEOUT": "1s", "AGENT_SYNC_WAIT": "1s"}
    with sc.running_server(variables, tmp_path_factory.mktemp("server")) as running:
        yield running


async def published(anonymous: Client) -> dict[str, Any]:
    return await anonymous.get("/openapi.json")


async def test_every_route_of_the_api_is_described(anonymous: Client) -> None:
    document = await published(anonymous)
    described = {
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method in item
        if method != "parameters"
    }
    missing = [
        str(endpoint)
        for endpoint in endpoints()
        if endpoint.path.startswith("/api/v1/")
        and endpoint.method != "WS"
        and not endpoint.path.startswith(("/api/v1/schema", "/api/v1/openapi", "/api/v1/docs"))
        and (endpoint.method, re.sub(r":\w+}", "}", endpoint.path)) not in described
    ]
    assert not missing


async def test_every_refusal_is_described_as_a_problem(anonymous: Client) -> None:
    document = await published(anonymous)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for status, described in operation["responses"].items():
                name = described.get("$ref", "").rpartition("/")[2]
                response = document["components"]["responses"][name] if name else described
                if int(status) >= 400 and not path.startswith("/health"):
                    assert set(response["content"]) == {"application/problem+json"}, (method, path, status)
                assert response["description"], (method, path, status)


async def test_the_command_prints_what_the_server_serves(anonymous: Client) -> None:
    command = [sys.executable, "-m", "remotegpu.cli.main", "server", "openapi"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    assert json.loads(printed) == await published(anonymous)


@pytest.mark.parametrize("role", ["admin", "customer_owner", "customer_member", "agent"])
async def test_answers_are_what_the_document_says(
    world: World, server: ServerProcess, tmp_path: Path, role: str
) -> None:
    # What an admin's requests do to the one company must not lock the others' requests out.
    company = world.ours if role == "admin" else world.theirs
    people = {"admin": world.admin, "customer_owner": company.owner, "customer_member": company.member}
    person = people.get(role, world.admin)
    client = company.agent.client if role == "agent" else person.personal
    assert client is not None
    config = tmp_path / "schemathesis.toml"
    config.write_text(configuration(world.values(company, person), role), encoding="utf-8")
    arguments = ["--config-file", str(config), "run", f"{server.url}/api/v1/openapi.json"]
    # One worker: CPython 3.11's ast module breaks when two threads parse at once (python/cpython issue 106905).
    arguments += ["--workers", "1", "--checks", ",".join(CHECKS), "--seed", SEED]
    arguments += [
        "--request-timeout",
        "20",
        "--no-color",
        "--header",
        f"Authorization: Bearer {client.token}",
    ]
    for path in LEFT_OUT:
        arguments += ["--exclude-path", path]
    arguments += ["--include-path-regex" if role == "agent" else "--exclude-path-regex", "^/api/v1/agent/"]
    output, status = await run(arguments, tmp_path)
    assert status == 0, (
        output[output.find("= FAILURES ") : output.find("= WARNINGS ")][:12000] or output[-3000:]
    )
    assert locked_out(output) <= not_for(role), output
    assert sum(map(int, re.findall(r"(\d+) generated", output))) > 50


def locked_out(output: str) -> int:
    """How many operations answered nothing but 401 and 403."""
    match = re.search(r"Authentication failed: (\d+) operations? returned only", output)
    return int(match[1]) if match else 0


def not_for(role: str) -> int:
    """How many routes are not for this role, so that nothing else can be expected of them."""
    if role == "agent":
        return 1  # enrolment, with a join token that schemathesis cannot know
    credentials = 3  # sign-in, renewal and the change of a password, neither of which it can know
    return sum(e.is_for_people and not e.admits(Role(role)) for e in endpoints()) + credentials


def configuration(values: dict[tuple[str, str], str], role: str) -> str:
    """Real ids for path parameters, so that the answers are not all 404."""
    ids = {name: value for (_, name), value in values.items() if name != "token_id"}
    lines = ["[parameters]", *(f'"path.{name}" = "{value}"' for name, value in ids.items())]
    thorough = role in {"admin", "agent"}
    lines += ["[phases.examples]", "enabled = false", "[phases.stateful]", "enabled = false"]
    lines += ["[phases.fuzzing]", f"generation.max-examples = {4 if thorough else 3}"]
    lines += ["[phases.coverage]", f"enabled = {str(thorough).lower()}", 'unexpected-methods = ["TRACE"]']
    lines += ["[checks.negative_data_rejection]", f"expected-statuses = {REFUSED}"]
    lines += ["[generation]", "deterministic = true", "database = 'none'"]
    for path in SLOW_TO_GENERATE:
        lines += ["[[operations]]", f'include-path = "{path}"', "phases.coverage.enabled = false"]
    return "\n".join(lines) + "\n"


async def run(arguments: list[str], directory: Path) -> tuple[str, int]:
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "st"),
        *arguments,
        cwd=directory,
        env={**os.environ, "SCHEMATHESIS_HOOKS": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return output.decode(), process.returncode or 0
