"""Parameters, ids, headers and paths that nobody should send: each is refused by name, and nothing breaks."""

import secrets

import aiohttp
import msgspec
import pytest

from integration.server_api.bodies import body_for
from integration.server_api.calling import REQUIRED, complaints, prepared
from integration.server_api.routes import endpoints
from integration.server_api.world import NOBODY, World
from server_client import Answer, Client

LIST_QUERIES: list[tuple[dict[str, str] | list[tuple[str, str]], set[int]]] = [
    ({"page": "0"}, {422}),
    ({"page": "-1"}, {422}),
    ({"page": "1.5"}, {422}),
    ({"page": "abc"}, {422}),
    ({"page": ""}, {422}),
    ({"page": "9" * 40}, {422}),
    ({"page": "1000001"}, {422}),
    ({"page": "1000000"}, {200}),
    ({"page_size": "0"}, {422}),
    ({"page_size": "201"}, {422}),
    ({"page_size": "NaN"}, {422}),
    ({"sort": "nope"}, {422}),
    ({"sort": "--id"}, {422}),
    ({"sort": "id;DROP TABLE users"}, {422}),
    ({"sort": "password_hash"}, {422}),
    ({"sort": "x" * 41}, {422}),
    ({"q": "x" * 101}, {422}),
    ({"q": "\x00"}, {200}),
    ({"q": "%_\\'\";--"}, {200}),
    ({"q": "\u202e🚀"}, {200}),
    ([("page", "1"), ("page", "2")], {422}),
    ([("q", "a"), ("q", "a")], {422}),
    ({"page": "null"}, {422}),
    ({"q": "null"}, {200}),
    ({"unknown": "1"}, {200}),
]


async def test_every_list_with_queries_nobody_should_send(world: World) -> None:
    problems: list[str] = []
    lists = [
        e for e in endpoints() if e.method == "GET" and e.name.startswith("list_") and not e.declared.public
    ]
    unpaged = {"list_tokens", "list_ssh_keys", "list_artifacts"}
    assert len(lists) > 8
    for endpoint in lists:
        client, path, _ = world.admin.client, "", None
        path = endpoint.filled(world.values(world.ours, world.admin)).removeprefix("/api/v1")
        for query, statuses in LIST_QUERIES:
            answer = await client.call("GET", path, params=query)
            what = f"{endpoint} {query}"
            if endpoint.name in unpaged:
                problems += [] if answer.status < 500 else [f"{what}: {answer.status}"]
            elif answer.status not in statuses:
                problems.append(f"{what}: {answer.status} {answer.body[:300]!r}, expected {sorted(statuses)}")
            elif answer.status == 422:
                problems += complaints(answer, {422}, {"invalid"}, what)
                (name,) = query if isinstance(query, dict) else {query[0][0]}
                if [entry["field"] for entry in answer.json["errors"]] != [name]:
                    problems.append(f"{what}: {answer.json['errors']}")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/machines?state=broken", "state"),
        ("/machines?state=null", "state"),
        ("/machines?reachable=true&reachable=false", "reachable"),
        ("/machines?reachable=perhaps", "reachable"),
        ("/machines?customer_id=7", "customer_id"),
        ("/machines?gpu_model=%00", "gpu_model"),
        ("/machines/{machine}/samples?minutes=61", "minutes"),
        ("/machines/{machine}/samples?minutes=-1", "minutes"),
        ("/allocations?machine_id=x", "machine_id"),
        ("/tasks?state=", "state"),
        ("/tasks/{task}/log?offset=-1", "offset"),
        ("/tasks/{task}/log?offset=99999999999999999999999", "offset"),
        ("/tasks/{task}/log?attempt=0", "attempt"),
        ("/tasks/{task}/log/stream?offset=x", "offset"),
        ("/sessions?state=all", "state"),
        ("/audit?outcome=maybe", "outcome"),
        ("/audit?actor=me", "actor"),
        ("/audit?since=yesterday", "since"),
        ("/audit?since=0.5", "since"),
        ("/audit?since=null", "since"),
        ("/audit?until=2026-02-30T00:00:00Z", "until"),
        ("/audit?action=%00", "action"),
    ],
)
async def test_a_wrong_parameter_is_named_with_what_was_found(world: World, path: str, field: str) -> None:
    ours = world.ours
    answer = await world.admin.client.call(
        "GET", path.format(machine=ours.agent.machine_id, task=ours.task_id)
    )
    assert complaints(answer, {422}, {"invalid"}, path) == []
    (entry,) = answer.json["errors"]
    assert entry["field"] == field
    assert entry["found"]
    assert entry["expected"]
    assert "`" not in entry["expected"], "in plain words"


@pytest.mark.parametrize(
    "since", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2026-01-01T00:00:00"]
)
async def test_times_at_the_edge_are_no_error(world: World, since: str) -> None:
    await world.admin.client.get("/audit", params={"since": since, "until": since})


@pytest.mark.usefixtures("unchanged")
async def test_ids_that_are_none(world: World) -> None:
    problems: list[str] = []
    for endpoint in endpoints():
        if not endpoint.parameters or endpoint.declared.public or endpoint.method == "WS":
            continue
        client, _, _ = prepared(endpoint, world) if endpoint.has_body else (world.admin.client, "", None)
        body = body_for(endpoint.name, world.ours, world.admin) if endpoint.has_body else None
        for bad in (
            "1",
            "x" * 300,
            "%00",
            "..%2f..%2fetc%2fpasswd",
            "%F0%9F%9A%80",
            f"{NOBODY}x",
            "%ff",
            "'%20OR%201=1",
        ):
            path = endpoint.filled(dict.fromkeys(endpoint.parameters, bad)).removeprefix("/api/v1")
            url = aiohttp.client.URL(client.url(path), encoded=True)
            headers = {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json"}
            data = None if body is None else msgspec.json.encode(body)
            async with client.http.request(endpoint.method, url, data=data, headers=headers) as response:
                answer = Answer(response.status, response.headers, await response.read())
            problems += complaints(
                answer, {404, 405}, {"not_found", "method_not_allowed"}, f"{endpoint}: {bad}"
            )
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("key", ["", "with space", "é", "x" * 101, "tab\tkey"])
async def test_strange_idempotency_keys(world: World, key: str) -> None:
    body = body_for("submit_task", world.ours, world.ours.owner)
    answer = await world.ours.owner.client.call("POST", "/tasks", body, headers={"Idempotency-Key": key})
    assert complaints(answer, {422}, {"invalid"}, repr(key)) == []
    assert answer.json["errors"][0]["field"] == "Idempotency-Key"


async def test_an_idempotency_key_makes_one_thing_and_belongs_to_one_person(world: World) -> None:
    ours = world.ours
    body = body_for("submit_task", ours, ours.owner)
    headers = {"Idempotency-Key": secrets.token_hex(8)}
    first = await ours.owner.client.post("/tasks", body, expect=201, headers=headers)
    again = await ours.owner.client.post("/tasks", body, expect=201, headers=headers)
    assert again["id"] == first["id"]
    other = await ours.owner.client.call("POST", "/tasks", body | {"name": "other"}, headers=headers)
    assert (other.status, other.code) == (409, "idempotency_key_reused")
    member = await ours.member.client.post("/tasks", body, expect=201, headers=headers)
    assert member["id"] != first["id"]


@pytest.mark.parametrize(
    "query",
    ["shell=../x", "shell=a%0a", "shell=", "shell=ok&cols=0", "shell=ok&cols=1001", "shell=ok&rows=x", ""],
)
async def test_a_terminal_with_impossible_parameters_is_refused(world: World, query: str) -> None:
    member = world.ours.member.client
    url = member.url(f"/machines/{world.ours.agent.machine_id}/terminal?{query}")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with member.http.ws_connect(url, headers={"Authorization": f"Bearer {member.token}"}):
            pass
    assert refused.value.status == 403
    assert member.http is not None
    await member.get("/auth/me")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("req-from-proxy-0123456789", True),
        ("a.b_c-d0", True),
        ("short", False),
        ("x" * 65, False),
        ("with space in", False),
        ("<script>alert(1)</script>", False),
        ("中文中文中文中文", False),
    ],
)
async def test_request_ids_are_taken_over_only_when_they_are_sane(
    anonymous: Client, sent: str, *, kept: bool
) -> None:
    answer = await anonymous.call("GET", "/overview", headers={"X-Request-Id": sent})
    assert (answer.headers["X-Request-Id"] == sent) is kept
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize(
    "path",
    [
        "/%00",
        "/" + "x" * 5000,
        "/%ff%fe",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/assets/..%2f..%2fsettings.py",
        "/a/../../b",
    ],
)
async def test_pages_that_cannot_be(anonymous: Client, path: str) -> None:
    url = aiohttp.client.URL(anonymous.server_url + path, encoded=True)
    async with anonymous.http.get(url) as response:
        body = await response.read()
    assert response.status in {200, 404}, body[:300]
    assert b"root:" not in body
    assert b"JWT_SECRET" not in body


async def test_unknown_paths_and_methods(anonymous: Client) -> None:
    for method, path, status in [
        ("GET", "/no/such/thing", 404),
        ("PUT", "/machines", 405),
        ("DELETE", "/auth/login", 405),
        ("GET", "//health/nothing", 200),
    ]:
        answer = await anonymous.call(method, path)
        assert answer.status == status, (method, path, answer.body)
        if status != 200:
            assert answer.code in {"not_found", "method_not_allowed"}


def test_the_required_query_parameters_are_known() -> None:
    assert REQUIRED == {"offset": "0"}
