"""Whatever body is sent: a clear 4xx, nothing changes and nothing is given away. Generated from the routes."""

import copy
import secrets
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

import server_client as sc
from integration.server_api.bodies import body_for
from integration.server_api.calling import complaints, prepared, with_bodies
from integration.server_api.routes import Endpoint, application
from integration.server_api.world import World
from server_client import Answer

UNREADABLE = {
    "cut off": b'{"name": "x"',
    "half a list": b"[1,",
    "not JSON": b"name=x",
    "single quotes": b"{'name': 'x'}",
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "half a surrogate pair": b'{"name": "\\ud800"}',
    "not a number": b'{"name": NaN}',
    "nested without end": b"[" * 100_000,
    "an object nested without end": b'{"a":' * 100_000,
    "two documents": b"{} {}",
}
WRONG_SHAPES: list[Any] = [[], ["x"], "text", 5, True]
NOT_JSON = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
    "",
)
WRONG_VALUES: list[Any] = [
    None,
    True,
    7,
    -1,
    1.5,
    10**30,
    "",
    "\x00",
    "x" * 300_000,
    [],
    [None],
    {},
    {"": {}},
]


@pytest.mark.usefixtures("unchanged")
async def test_a_body_that_is_no_json(world: World) -> None:
    problems: list[str] = []
    for endpoint in with_bodies():
        client, path, _ = prepared(endpoint, world)
        for what, raw in UNREADABLE.items():
            answer = await client.call(endpoint.method, path, raw=raw)
            problems += complaints(answer, {400}, {"malformed"}, f"{endpoint}: {what}")
    assert not problems, "\n".join(problems)


@pytest.mark.usefixtures("unchanged")
async def test_a_body_of_another_shape(world: World) -> None:
    problems: list[str] = []
    for endpoint in with_bodies():
        client, path, _ = prepared(endpoint, world)
        for shape in WRONG_SHAPES:
            answer = await client.call(endpoint.method, path, shape)
            problems += complaints(answer, {422}, {"invalid"}, f"{endpoint}: {shape!r}")
    assert not problems, "\n".join(problems)


@pytest.mark.usefixtures("unchanged")
async def test_a_body_that_is_missing(world: World) -> None:
    problems: list[str] = []
    optional = {"refresh_session", "logout"}
    for endpoint in with_bodies():
        if endpoint.name in optional:
            continue
        client, path, _ = prepared(endpoint, world)
        for how in ({"raw": b""}, {}):
            answer = await client.call(endpoint.method, path, **how)
            problems += complaints(answer, {400, 422}, {"malformed", "invalid"}, f"{endpoint}: nothing")
    assert not problems, "\n".join(problems)


@pytest.mark.usefixtures("unchanged")
async def test_another_content_type(world: World) -> None:
    """A form of another site could send these with the browser's cookie, without asking first."""
    problems: list[str] = []
    for endpoint in with_bodies():
        client, path, body = prepared(endpoint, world)
        for kind in NOT_JSON:
            answer = await client.call(
                endpoint.method, path, raw=msgspec.json.encode(body), headers={"Content-Type": kind}
            )
            problems += complaints(answer, {415}, {"unsupported_media_type"}, f"{endpoint}: {kind}")
    assert not problems, "\n".join(problems)


@pytest.mark.usefixtures("unchanged")
async def test_fields_nobody_knows(world: World) -> None:
    problems: list[str] = []
    for endpoint in with_bodies():
        if endpoint.declared.agent:
            continue  # an agent one version newer sends fields that this server does not know
        client, path, body = prepared(endpoint, world)
        for name in ("is_admin", "role ", "__proto__", "", "\u202e", "id'; DROP TABLE users; --"):
            answer = await client.call(endpoint.method, path, body | {name: True})
            what = f"{endpoint}: unknown field {name!r}"
            problems += complaints(answer, {422}, {"invalid"}, what)
            if answer.status == 422 and not any(
                e["found"] == "an unknown field" for e in answer.json["errors"]
            ):
                problems.append(f"{what}: not named in {answer.json['errors']}")
    assert not problems, "\n".join(problems)


@pytest.mark.usefixtures("unchanged")
async def test_every_field_with_a_value_of_another_type(world: World) -> None:
    """Every value a field does not take is refused with the field's name, and a secret is not repeated."""
    problems: list[str] = []
    for endpoint in with_bodies():
        client, path, body = prepared(endpoint, world)
        data_type = declared_type(endpoint)
        for name in body:
            for value in WRONG_VALUES:
                changed = copy.deepcopy(body) | {name: value}
                if is_valid(changed, data_type):
                    continue
                answer = await client.call(endpoint.method, path, changed)
                what = f"{endpoint}: {name} = {str(value)[:20]!r}"
                problems += complaints(answer, {422}, {"invalid"}, what)
                if answer.status == 422 and not any(is_at(e["field"], name) for e in answer.json["errors"]):
                    problems.append(f"{what}: not named in {answer.json['errors']}")
                if len(answer.body) > 20_000:
                    problems.append(f"{what}: repeats {len(answer.body)} bytes")
    assert not problems, "\n".join(problems[:20])


def declared_type(endpoint: Endpoint) -> Any:
    for route in application().routes:
        for handler in getattr(route, "route_handlers", []):
            if (
                handler.handler_name == endpoint.name
                and route.path == endpoint.path
                and handler.parsed_data_field
            ):
                return handler.parsed_data_field.raw
    raise AssertionError(endpoint)


def is_valid(body: Any, data_type: Any) -> bool:
    try:
        msgspec.json.decode(msgspec.json.encode(body), type=data_type)
    except msgspec.ValidationError:
        return False
    return True


def is_at(field: str, name: str) -> bool:
    return field == name or field.startswith((f"{name}.", f"{name}["))


async def test_all_wrong_fields_are_named_at_once(world: World) -> None:
    body = {
        "machine_id": "not-an-id",
        "name": "",
        "kind": "docker",
        "args": ["fine", 7],
        "env": {"PASSWORD": 1234567890},
        "priority": 11,
        "timeout_s": "60",
        "surprise": 1,
    }
    answer = await world.ours.owner.client.call("POST", "/tasks", body)
    errors = {entry["field"]: (entry["found"], entry["expected"]) for entry in answer.json["errors"]}
    assert errors["machine_id"] == ("not-an-id", "a UUID")
    assert errors["name"] == ("0 characters", "text of length >= 1")
    assert errors["kind"] == ("docker", "one of python, script, shell")
    assert errors["command"][0] == "nothing"
    assert errors["args[1]"][1] == "text"
    assert errors["priority"] == ("11", "a whole number <= 10")
    assert errors["timeout_s"] == ('"60"', "a whole number")
    assert errors["surprise"][0] == "an unknown field"
    assert "1234567890" not in answer.body.decode(), "environment values may be secrets"
    assert any(field.startswith("env") for field in errors)


async def test_secrets_are_not_repeated(world: World) -> None:
    secret = "hunter2-" + secrets.token_hex(8)
    cases: list[tuple[str, Any]] = [
        ("/auth/login", {"email": "a@example.com", "password": [secret]}),
        ("/auth/login", {"email": "a@example.com", "password": secret * 100}),
        ("/auth/refresh", {"refresh_token": secret * 100}),
        ("/auth/password", {"current_password": secret, "new_password": {secret: 1}}),
        ("/auth/ssh-keys", {"name": "x", "public_key": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{secret}\n"}),
        ("/agent/enroll", {"join_token": secret, "name": 5}),
    ]
    for path, body in cases:
        answer = await world.admin.client.call("POST", path, body)
        assert answer.status == 422, (path, answer.body)
        assert secret not in answer.body.decode(), path


@pytest.mark.usefixtures("unchanged")
async def test_ten_megabytes(world: World) -> None:
    """With its length told beforehand, and without."""
    problems: list[str] = []
    huge = b'{"name": "' + b"x" * (10 * 1024 * 1024) + b'"}'

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(huge), 65_536):
            yield huge[start : start + 65_536]

    for endpoint in with_bodies():
        client, path, _ = prepared(endpoint, world)
        answer = await client.call(endpoint.method, path, raw=huge)
        problems += complaints(answer, {413}, {"too_large"}, f"{endpoint}: told")
    client, path, _ = prepared(next(e for e in with_bodies() if e.name == "create_customer"), world)
    headers = {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json"}
    async with client.http.post(client.url(path), data=chunks(), headers=headers) as response:
        answer = Answer(response.status, response.headers, await response.read())
    problems += complaints(answer, {413}, {"too_large"}, "in chunks")
    log = f"/agent/attempts/{world.ours.attempt_id}/log?offset=0"
    answer = await world.ours.agent.client.call("POST", log, raw=b"x" * 300_000)
    problems += complaints(answer, {413}, {"too_large"}, "a log chunk beyond what the protocol allows")
    assert not problems, "\n".join(problems)


FINE_NAMES = [
    "张伟的训练任务",
    "🚀 LLaMA 微调 👩‍💻",
    "Ünïcödé",
    "名前 テスト",
    "مشروع",
    "../../etc/passwd",
    "'; DROP TABLE users; --",
    "<script>alert(1)</script>",
    "${jndi:ldap://x}",
    "%s %n {{7*7}}",
    "a" * 100,
]
HOSTILE_NAMES = [
    "",
    " ",
    "\u3000",
    "nul\x00",
    "line\nbreak",
    "ends with one\n",
    "bell\x07",
    "\x1b[31mred",
    "del\x7f",
    "rtl \u202e gpj.exe",
    "isolate \u2066x",
    "mark \u200f",
    "line \u2028 separator",
    "\ufeffbom",
    "a" * 101,
]
NAMED = {
    "create_customer": "name",
    "change_customer": "name",
    "add_member": "display_name",
    "change_member": "display_name",
    "create_token": "name",
    "add_ssh_key": "name",
    "create_join_token": "name",
    "submit_task": "name",
}
"""Routes by which people name things, and the field."""


async def test_names_in_every_script_are_kept_as_they_are(world: World) -> None:
    for endpoint in with_bodies():
        if endpoint.name not in NAMED:
            continue
        field = NAMED[endpoint.name]
        for name in FINE_NAMES:
            client, path, body = prepared(endpoint, world)
            answer = await client.call(endpoint.method, path, body | {field: name})
            assert answer.status in {200, 201}, (endpoint, name, answer.body)
            assert answer.json[field] == name, endpoint
    for path in (
        "/customers",
        "/tasks",
        "/join-tokens",
        "/auth/tokens",
        f"/customers/{world.ours.id}/members",
    ):
        await world.admin.client.get(path, params={"q": "'; DROP"})
        await world.admin.client.get(path, params={"q": "🚀 %_\\"})


@pytest.mark.usefixtures("unchanged")
async def test_names_that_deceive_are_refused(world: World) -> None:
    problems: list[str] = []
    covered: set[str] = set()
    for endpoint in with_bodies():
        if endpoint.name not in NAMED:
            continue
        covered.add(endpoint.name)
        for name in HOSTILE_NAMES:
            client, path, body = prepared(endpoint, world)
            answer = await client.call(endpoint.method, path, body | {NAMED[endpoint.name]: name})
            problems += complaints(answer, {422}, {"invalid"}, f"{endpoint}: {name!r}")
    assert covered == NAMED.keys()
    assert not problems, "\n".join(problems)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("path", "field", "values"),
    [
        (
            "/customers",
            "company_code",
            ["a", "Acme", "a b", "-a", "a-", "a" * 25, "a\n", "ab\n", "á", "a/../b", "1a", "a_b"],
        ),
        (
            "/customers/{customer_id}/members",
            "email",
            ["x", "@b", "a@", "a b@c.d", "a@b..c", "a@b.c\n", "ü@b.c", "a@b.c,d@e.f"],
        ),
        (
            "/customers/{customer_id}/members",
            "role",
            ["admin", "ADMIN", "customer_owner ", "", None, ["customer_owner"]],
        ),
    ],
)
async def test_identifiers_that_become_accounts(
    world: World, path: str, field: str, values: list[Any]
) -> None:
    name = "create_customer" if path == "/customers" else "add_member"
    for value in values:
        body = body_for(name, world.ours, world.admin) | {field: value}
        answer = await world.admin.client.call("POST", path.format(customer_id=world.ours.id), body)
        assert complaints(answer, {422}, {"invalid"}, f"{field} = {value!r}") == []
        assert answer.json["errors"][0]["field"] == field


@pytest.mark.parametrize(
    "name", ["", "-a", "a b", "a/b", "../x", "a\n", "ü", "🚀", "a" * 64, "a\x00", "<b>", "a;b"]
)
async def test_machines_are_not_named_so(world: World, name: str) -> None:
    token = await world.admin.client.post("/join-tokens", {"name": "rack"}, expect=201)
    before = (await world.admin.client.get("/machines"))["total"]
    body = body_for("enrol", world.ours, world.admin) | {"name": name, "join_token": token["token"]}
    answer = await world.admin.client.anonymous().call("POST", "/agent/enroll", body)
    assert answer.status == 422, answer.body
    path = f"/machines/{world.ours.idle_agent.machine_id}"
    assert (await world.admin.client.call("PATCH", path, {"name": name})).status == 422
    assert (await world.admin.client.get("/machines"))["total"] == before


IMPOSSIBLE_TIMES = [
    "2027-02-30T00:00:00Z",
    "2027-13-01T00:00:00Z",
    "2027-01-01T25:00:00Z",
    "2027-01-01T00:00:00",
    "2027-01-01",
    "0000-00-00T00:00:00Z",
    "tomorrow",
    "1800000000",
    "",
]


@pytest.mark.usefixtures("unchanged")
async def test_impossible_dates(world: World) -> None:
    ours, admin = world.ours, world.admin.client
    base = {"machine_id": ours.idle_agent.machine_id, "customer_id": ours.id}
    extend = f"/allocations/{ours.allocation_id}/extend"
    for moment in IMPOSSIBLE_TIMES:
        for path, body in (("/allocations", base | {"ends_at": moment}), (extend, {"ends_at": moment})):
            answer = await admin.call("POST", path, body)
            assert complaints(answer, {422}, {"invalid"}, moment) == []
            assert answer.json["errors"][0]["field"] == "ends_at"
            assert "2026-11-24T06:30:00Z" in answer.json["errors"][0]["expected"]
    for starts, ends in [
        (sc.in_days(60), sc.in_days(59)),
        (sc.in_days(60), sc.in_days(60 + 366 * 5 + 1)),
        (sc.in_days(-2), sc.in_days(1)),
        ("0001-01-01T00:00:00Z", "0001-01-02T00:00:00Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ("9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59-23:59"),
        ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
    ]:
        answer = await admin.call("POST", "/allocations", base | {"starts_at": starts, "ends_at": ends})
        assert complaints(answer, {422}, {"invalid_period"}, f"{starts} to {ends}") == []
