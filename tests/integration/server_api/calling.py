"""Tries a route as somebody, and says what is wrong with the answer."""

from collections.abc import Iterable
from typing import Any

import aiohttp

from integration.server_api.bodies import body_for
from integration.server_api.routes import Endpoint, api, endpoints
from integration.server_api.world import Company, Person, World
from remotegpu.protocol.streams import CLOSE_REFUSED
from remotegpu.server.core.context import Role
from server_client import Answer, Client

LAST = ("stop", "cancel", "end", "delete", "revoke", "logout")
"""Handlers that take something away come last, those before still need it."""


REQUIRED = {"offset": "0"}
"""Query parameters without a default, where a route has them."""


def in_order(found: Iterable[Endpoint]) -> list[Endpoint]:
    def rank(endpoint: Endpoint) -> tuple[bool, int, str]:
        last = next((n for n, word in enumerate(LAST, 1) if endpoint.name.startswith(word)), 0)
        return endpoint.changes, last, str(endpoint)

    return sorted(found, key=rank)


def people() -> list[Endpoint]:
    return in_order(e for e in api() if e.is_for_people)


async def call(endpoint: Endpoint, client: Client, company: Company, person: Person, world: World) -> Answer:
    """The route with objects of ``company``, as ``client``. A WebSocket answers 101 or what its handshake got;
    one that is accepted and at once closed as refused counts as 404."""
    path = endpoint.filled(world.values(company, person)).removeprefix("/api/v1")
    if endpoint.method == "WS":
        return await call_socket(client, path)
    body = body_for(endpoint.name, company, person) if endpoint.has_body else None
    if not endpoint.streams:
        params = {name: value for name, value in REQUIRED.items() if name in endpoint.query}
        return await client.call(endpoint.method, path, body, params=params)
    headers = {"Authorization": f"Bearer {client.token}"} if client.token else {}
    async with client.http.get(client.url(path), headers=headers) as response:
        content = b"" if response.status == 200 else await response.read()
        return Answer(response.status, response.headers, content)


async def call_socket(client: Client, path: str) -> Answer:
    headers = {"Authorization": f"Bearer {client.token}"} if client.token else {}
    try:
        async with client.http.ws_connect(client.url(f"{path}?shell=s"), headers=headers) as socket:
            while not socket.closed:
                await socket.receive()
            return Answer(404 if socket.close_code == CLOSE_REFUSED else 101, {}, b"")
    except aiohttp.WSServerHandshakeError as refused:
        return Answer(refused.status, {}, b"")


def expect(answer: Answer, wanted: set[int], what: str, code: str = "") -> list[str]:
    """What is wrong with an answer, if anything."""
    problems: list[str] = []
    if answer.status not in wanted:
        problems.append(f"{what}: answered {answer.status} {answer.body[:200]!r}, expected {sorted(wanted)}")
    elif code and answer.body and answer.code != code:
        problems.append(f"{what}: code {answer.code!r}, expected {code!r}")
    return problems


def with_bodies() -> list[Endpoint]:
    found = [endpoint for endpoint in endpoints() if endpoint.has_body]
    assert len(found) > 15
    return found


def prepared(endpoint: Endpoint, world: World) -> tuple[Client, str, Any]:
    """Who may call it, its path, and a good body."""
    person = world.admin if endpoint.admits(Role.ADMIN) else world.ours.owner
    client = world.ours.agent.client if endpoint.declared.agent else person.client
    values = world.values(world.ours, person)
    return (
        client,
        endpoint.filled(values).removeprefix("/api/v1"),
        body_for(endpoint.name, world.ours, person),
    )


def complaints(answer: Answer, statuses: set[int], codes: set[str], what: str) -> list[str]:
    """What is wrong with a refusal."""
    if answer.status not in statuses:
        return [f"{what}: answered {answer.status} {answer.body[:300]!r}, expected {sorted(statuses)}"]
    if not answer.headers.get("Content-Type", "").startswith("application/problem+json"):
        return [f"{what}: {answer.headers.get('Content-Type')!r} is no problem"]
    problem = answer.json
    wrong: list[str] = []
    if problem["code"] not in codes or problem["status"] != answer.status:
        wrong.append(f"{what}: code {problem['code']!r}, status {problem['status']}")
    if (
        problem["request_id"] != answer.headers["X-Request-Id"]
        or not problem["detail"]
        or not problem["title"]
    ):
        wrong.append(f"{what}: incomplete {problem}")
    if any(
        word in answer.body
        for word in (b"Traceback", b"site-packages", b"sqlalchemy", b"SELECT ", b"litestar")
    ):
        wrong.append(f"{what}: gives away how it is made: {answer.body[:300]!r}")
    return wrong
