"""Every act and every refusal leaves an entry with who, from where and under which request id."""

import contextlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

import server_client as sc
from integration.server_api import world as stage
from integration.server_api.bodies import body_for
from integration.server_api.calling import in_order
from integration.server_api.routes import Endpoint, endpoints
from integration.server_api.world import World
from remotegpu.protocol.version import PROTOCOL_HEADER
from remotegpu.server.core.context import Role
from server_client import Client, ServerProcess
from services import Stack

WITHOUT_ENTRY = {
    "refresh_session": "a session goes on, every quarter of an hour; its beginning, end and misuse are recorded",
    "watch_machine": "a hint that somebody is looking; it changes how often figures are sent, nothing else",
    "create_ticket": "opens nothing by itself; the session it is used for is recorded when it is opened",
    "sync": "reports of an agent, several per minute; what they change is recorded where it changes",
    "push_log": "bytes of a log, kept as they came",
    "offer_artifacts": "hands out upload addresses; the artifact exists once its attempt was reported",
}
"""Routes that change something and write no entry, each with the reason. A new route belongs here or writes one."""


def entries(stack: Stack, server: ServerProcess, request_id: str) -> list[dict[str, Any]]:
    query = (
        "SELECT action, outcome, actor_id::text, actor_name, address, resource_type, resource_id, detail"
        " FROM audit_logs WHERE request_id = %s ORDER BY id"
    )
    with stack.connect(dict(server.env)) as db:
        cursor = db.execute(query, [request_id])
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


async def prepared(endpoint: Endpoint, world: World) -> tuple[Client, str, Any]:
    """Who calls the route, its path and a body with which it succeeds."""
    ours, admin = world.ours, world.admin
    person = admin if endpoint.admits(Role.ADMIN) else ours.owner
    client = ours.agent.client if endpoint.declared.agent else person.client
    values = world.values(ours, person)
    body = body_for(endpoint.name, ours, person) if endpoint.has_body else None
    special: dict[str, Callable[[], Awaitable[Any]]] = {
        "refresh_session": lambda: fresh_refresh_token(ours.owner.client),
        "logout": lambda: fresh_refresh_token(ours.owner.client),
        "change_password": lambda: own_password(ours.member.client),
        "enrol": lambda: join(admin.client, body),
    }
    if endpoint.name in special:
        body = await special[endpoint.name]()
    if endpoint.name == "change_password":
        client = ours.member.client
    if endpoint.name == "cancel_allocation":
        values["allocations", "allocation_id"] = ours.scheduled_id
    if endpoint.name == "delete_machine":
        values["machines", "machine_id"] = (await sc.FakeAgent.enrol(admin.client)).machine_id
    if endpoint.name in {"stop_task", "offer_artifacts"}:
        queued = body_for("submit_task", ours, person)
        values["tasks", "task_id"] = (await ours.owner.client.post("/tasks", queued, expect=201))["id"]
        await ours.agent.sync()
        assert ours.agent.desired is not None
        values["attempts", "attempt_id"] = ours.agent.desired.attempts[-1].attempt_id
    return client, endpoint.filled(values).removeprefix("/api/v1"), body


async def fresh_refresh_token(person: Client) -> dict[str, str]:
    again = await person.anonymous().sign_in(person.user["email"], person.password)
    return {"refresh_token": again.refresh_token}


async def own_password(person: Client) -> dict[str, str]:
    return {"current_password": person.password, "new_password": sc.new_password()}


async def join(admin: Client, body: dict[str, Any]) -> dict[str, Any]:
    token = await admin.post("/join-tokens", {"name": "rack"}, expect=201)
    return body | {"join_token": token["token"], "name": f"node-{secrets.token_hex(4)}"}


async def test_every_route_that_changes_something_leaves_an_entry(
    admin: Client, server: ServerProcess, stack: Stack
) -> None:
    """In a world of its own, which it uses up."""
    world = await stage.build(admin)
    problems: list[str] = []
    changing = in_order(e for e in endpoints() if e.changes)
    assert WITHOUT_ENTRY.keys() <= {endpoint.name for endpoint in changing}
    for endpoint in changing:
        client, path, body = await prepared(endpoint, world)
        request_id = f"audit-{secrets.token_hex(8)}"
        params = {"offset": "0", "final": "1"} if "offset" in endpoint.query else None
        answer = await client.call(
            endpoint.method, path, body, headers={"X-Request-Id": request_id}, params=params
        )
        written = entries(stack, server, request_id)
        if answer.status >= 300:
            problems.append(f"{endpoint}: the test's own call failed: {answer.status} {answer.body[:300]!r}")
        elif endpoint.name in WITHOUT_ENTRY:
            problems += [f"{endpoint} does write an entry: take it off the list"] if written else []
        elif not written:
            problems.append(f"{endpoint} wrote no entry")
        else:
            problems += [f"{endpoint}: {entry}" for entry in written if not is_whole(entry)]
    assert not problems, "\n".join(problems)


def is_whole(entry: dict[str, Any]) -> bool:
    """Who, from where, on what; and allowed, since the call succeeded."""
    who = entry["actor_id"] or entry["action"] == "machine.enrol"
    return (
        bool(who and entry["actor_name"] and entry["address"] == "127.0.0.1")
        and entry["outcome"] == "allowed"
    )


async def test_every_refusal_leaves_an_entry(world: World, server: ServerProcess, stack: Stack) -> None:
    ours, theirs, admin = world.ours, world.theirs, world.admin.client
    member = ours.member.client
    taken = {"company_code": ours.customer["company_code"], "name": "Twice"}
    wrong = {"email": "Someone@Example.com", "password": "wrong"}
    cases: list[tuple[Client, str, str, Any, int, str]] = [
        (admin.anonymous(), "GET", "/machines", None, 401, "not_authenticated"),
        (admin.with_token("rgp_unknown"), "GET", "/machines", None, 401, "token_invalid"),
        (admin.anonymous(), "POST", "/auth/login", wrong, 401, "invalid_credentials"),
        (member, "GET", "/audit", None, 403, "forbidden"),
        (member, "GET", f"/machines/{theirs.agent.machine_id}", None, 404, "not_found"),
        (member, "POST", f"/tasks/{theirs.task_id}/stop", None, 404, "not_found"),
        (admin, "POST", "/customers", taken, 409, "company_code_taken"),
        (
            ours.agent.client,
            "POST",
            f"/agent/attempts/{theirs.attempt_id}/log?offset=0",
            None,
            404,
            "not_found",
        ),
        (admin.with_token("rgn_unknown"), "POST", "/agent/token", None, 401, "node_token_refused"),
    ]
    for client, method, path, body, status, code in cases:
        request_id = f"refused-{secrets.token_hex(8)}"
        answer = await client.call(method, path, body, headers={"X-Request-Id": request_id})
        assert (answer.status, answer.code, answer.json["request_id"]) == (status, code, request_id), path
        (entry,) = entries(stack, server, request_id)
        assert entry["outcome"] == "denied"
        assert (entry["detail"]["code"], entry["detail"]["status"]) == (code, status)
        assert entry["address"] == "127.0.0.1"
        assert entry["resource_id"] == client.url(path).removeprefix(client.server_url).partition("?")[0]
        expected = client.user.get("email") or ("agent" if client is ours.agent.client else "anonymous")
        assert entry["actor_name"] == expected
        assert (entry["actor_id"] is None) == (expected == "anonymous")
        if body is wrong:
            assert entry["detail"]["claimed"] == "someone@example.com"
            assert "wrong" not in str(entry["detail"]["claimed"])


async def test_an_agent_that_is_too_old_leaves_an_entry(
    world: World, server: ServerProcess, stack: Stack
) -> None:
    """On the call it makes all the time: else nobody would learn why the machine is gone."""
    agent, request_id = world.ours.agent, f"too-old-{secrets.token_hex(8)}"
    told = {
        "agent_version": "0.0.0-test",
        "protocol_version": "0.1",
        "boot_id": agent.boot_id,
        "applied_revision": agent.applied,
        "clock": 0.0,
    }
    headers = {"X-Request-Id": request_id, PROTOCOL_HEADER: "0.1"}
    answer = await agent.client.call("POST", "/agent/sync", told, headers=headers)
    assert (answer.status, answer.code) == (426, "agent_protocol_unsupported")
    (entry,) = entries(stack, server, request_id)
    assert (entry["outcome"], entry["actor_id"], entry["actor_name"]) == ("denied", agent.machine_id, "agent")
    assert (entry["detail"]["status"], entry["detail"]["code"]) == (426, "agent_protocol_unsupported")
    assert "'0.1'" in entry["detail"]["reason"]


async def test_a_refused_websocket_leaves_an_entry(world: World, server: ServerProcess, stack: Stack) -> None:
    ours, theirs = world.ours, world.theirs
    cases = [
        (world.admin.client.anonymous(), theirs, "not_authenticated"),
        (ours.member.client, theirs, "no_active_allocation"),
        (ours.member.client, stage.nothing_of(theirs), "no_active_allocation"),
    ]
    for client, company, code in cases:
        request_id = f"socket-{secrets.token_hex(8)}"
        headers = {"X-Request-Id": request_id}
        if client.token:
            headers["Authorization"] = f"Bearer {client.token}"
        url = client.url(f"/machines/{company.agent.machine_id}/ssh")
        with contextlib.suppress(aiohttp.WSServerHandshakeError):
            async with client.http.ws_connect(url, headers=headers) as socket:
                await socket.receive()
        (entry,) = entries(stack, server, request_id)
        assert (entry["outcome"], entry["detail"]["code"]) == ("denied", code)


async def test_a_scanner_cannot_fill_the_trail(
    server: ServerProcess, stack: Stack, anonymous: Client
) -> None:
    request_id = f"scan-{secrets.token_hex(8)}"
    headers = {"X-Request-Id": request_id, "X-Forwarded-For": f"2001:db8::{secrets.token_hex(2)}"}
    for _ in range(40):
        await anonymous.call("GET", "/machines", headers=headers)
    written = entries(stack, server, request_id)
    assert len(written) == 20
    assert "metrics only" in written[-1]["detail"]["note"]
    guess = {"email": "root@example.com", "password": "guess"}
    await anonymous.call("POST", "/auth/login", guess, headers=headers)
    assert len(entries(stack, server, request_id)) == 21, "a wrong password is always written down"
    await anonymous.call("GET", "/no/such/path", headers={"X-Request-Id": f"lost-{request_id}"})
    assert entries(stack, server, f"lost-{request_id}") == [], "a mistyped address is no refusal"


async def test_no_secret_is_ever_written_to_the_trail(
    world: World, server: ServerProcess, stack: Stack
) -> None:
    ours = world.ours
    secret_env = {"AWS_SECRET_ACCESS_KEY": "s3cr3t-value-of-a-customer"}
    body = body_for("submit_task", ours, ours.owner) | {"env": secret_env}
    await ours.owner.client.call("POST", "/tasks", body)
    with stack.connect(dict(server.env)) as db:
        (text,) = db.execute("SELECT string_agg(l::text, '|') FROM audit_logs l").fetchone() or ("",)
    known = [world.admin.client.password, ours.owner.client.password, str(ours.owner.client.token)]
    known += [ours.owner.client.refresh_token, str(ours.agent.client.token), "s3cr3t-value-of-a-customer"]
    assert [secret for secret in known if secret in text] == []


async def test_the_trail_is_filtered_and_paged(world: World) -> None:
    admin, ours = world.admin.client, world.ours
    mine = await admin.get("/audit", params={"actor": ours.owner.client.user_id})
    assert mine["total"] > 0
    assert {entry["actor_name"] for entry in mine["items"]} == {ours.owner.client.user["email"]}
    denied = await admin.get("/audit", params={"outcome": "denied", "page_size": "1", "page": "2"})
    assert {entry["outcome"] for entry in denied["items"]} <= {"denied"}
    one = await admin.get("/audit", params={"resource_type": "customer", "resource_id": ours.id})
    assert {entry["resource_id"] for entry in one["items"]} == {ours.id}
    actions = await admin.get("/audit", params={"action": "auth.login", "sort": "at"})
    times = [entry["at"] for entry in actions["items"]]
    assert times == sorted(times)
    assert (await admin.get("/audit", params={"since": "2999-01-01T00:00:00Z"}))["total"] == 0
    assert (await admin.get("/audit", params={"until": "2001-01-01T00:00:00Z"}))["total"] == 0
    found = await admin.get("/audit", params={"q": ours.owner.client.user["email"][:20]})
    assert found["total"] > 0
    nothing = await admin.get("/audit", params={"q": "100%_\\'; DROP TABLE audit_logs; --"})
    assert nothing["total"] == 0
