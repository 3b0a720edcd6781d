"""Every route × role × ownership, tried for real. The routes come from the application, so none can be forgotten."""

from integration.server_api import world as stage
from integration.server_api.calling import call, expect, people
from integration.server_api.routes import api, endpoints
from integration.server_api.world import NOBODY, Person, World, digest, nothing_of
from remotegpu.server.core.guards import Allow
from server_client import Client, ServerProcess
from services import Stack


def test_every_route_declares_its_guard() -> None:
    undeclared = [str(endpoint) for endpoint in endpoints() if not isinstance(endpoint.allow, Allow)]
    assert not undeclared
    contradictory = [
        str(e) for e in endpoints() if e.declared.public + e.declared.agent + bool(e.declared.roles) != 1
    ]
    assert not contradictory


def test_only_the_expected_routes_are_public() -> None:
    """Making a route public is a decision, so it is written down twice."""
    public = {f"{e.method} {e.path}" for e in endpoints() if e.declared.public}
    assert public == {
        "GET /",
        "GET /{path:path}",
        "GET /assets/{file_path:path}",
        "GET /health",
        "GET /health/ready",
        "GET /metrics",
        "GET /api/v1/docs",
        "GET /api/v1/openapi.json",
        "GET /api/v1/schema",
        "GET /api/v1/schema/openapi.json",
        "GET /api/v1/schema/{path:str}",
        "POST /api/v1/auth/login",
        "POST /api/v1/auth/logout",
        "POST /api/v1/auth/refresh",
    }


async def test_nobody_gets_in_without_signing_in(world: World) -> None:
    problems: list[str] = []
    ours, stranger = world.ours, world.admin.client.anonymous()
    for endpoint in api():
        answer = await call(endpoint, stranger, ours, ours.owner, world)
        if endpoint.method == "WS" and endpoint.declared.agent:
            wanted = {404}  # the agent reads the reason from the close code
        elif endpoint.method == "WS":
            wanted = {403}
        else:
            wanted = {401}
        problems += expect(answer, wanted, f"nobody: {endpoint}")
    assert not problems, "\n".join(problems)


async def test_people_are_no_agents_and_agents_no_people(world: World) -> None:
    problems: list[str] = []
    ours = world.ours
    for endpoint in api():
        client = world.admin.client if endpoint.declared.agent else ours.agent.client
        if endpoint.name == "enrol":
            continue  # shows its join token in the body
        answer = await call(endpoint, client, ours, ours.owner, world)
        wanted = {401} if endpoint.method != "WS" else {404} if endpoint.declared.agent else {403}
        problems += expect(answer, wanted, f"the wrong kind of caller: {endpoint}")
    assert not problems, "\n".join(problems)


async def test_a_role_that_is_not_declared_is_refused(
    world: World, server: ServerProcess, stack: Stack
) -> None:
    problems: list[str] = []
    before = digest(stack, server)
    for endpoint in people():
        for person in (world.ours.owner, world.ours.member):
            if endpoint.admits(person.role):
                continue
            for company in (world.ours, world.theirs):
                for client in (person.client, person.personal):
                    assert client is not None
                    answer = await call(endpoint, client, company, person, world)
                    problems += expect(answer, {403}, f"{person.role}: {endpoint}", "forbidden")
    assert not problems, "\n".join(problems)
    assert digest(stack, server) == before


async def test_what_belongs_to_others_does_not_exist(
    world: World, server: ServerProcess, stack: Stack
) -> None:
    """Foreign objects and unknown ids look the same, and nothing of them changes."""
    problems: list[str] = []
    before = digest(stack, server)
    ours, theirs = world.ours, world.theirs
    for endpoint in people():
        if not endpoint.parameters and endpoint.name != "submit_task":
            continue
        for person, other in ((ours.owner, theirs.owner), (ours.member, theirs.member)):
            if not endpoint.admits(person.role):
                continue
            foreign = await call(endpoint, person.client, theirs, other, world)
            problems += expect(foreign, {404}, f"{person.role} with an object of others: {endpoint}")
            unknown = await call(
                endpoint,
                person.client,
                nothing_of(theirs),
                Person(other.client, other.role, NOBODY, NOBODY),
                world,
            )
            problems += expect(unknown, {404}, f"{person.role} with an unknown id: {endpoint}")
            if foreign.code != unknown.code:
                problems.append(
                    f"{endpoint}: {foreign.code!r} for others' objects, {unknown.code!r} for unknown ones"
                )
    assert not problems, "\n".join(problems)
    assert digest(stack, server) == before


async def test_tokens_and_keys_of_a_colleague_are_out_of_reach(world: World) -> None:
    """Ownership inside one company: not even the owner, or an admin, removes what is a person's own."""
    ours = world.ours
    for path in (f"/auth/tokens/{ours.member.token_id}", f"/auth/ssh-keys/{ours.member.key_id}"):
        await ours.owner.client.delete(path, expect=404)
        await world.admin.client.delete(path, expect=404)


async def test_an_agent_reaches_only_its_own_attempts(world: World) -> None:
    problems: list[str] = []
    ours, theirs = world.ours, world.theirs
    for endpoint in (e for e in api() if e.declared.agent and e.parameters and e.method != "WS"):
        answer = await call(endpoint, ours.agent.client, theirs, theirs.owner, world)
        problems += expect(answer, {404}, f"an agent with an attempt of another machine: {endpoint}")
    assert not problems, "\n".join(problems)


async def test_lists_show_nothing_of_others(world: World) -> None:
    """Also when asked for by a filter that names the other company's objects."""
    problems: list[str] = []
    ours, theirs = world.ours, world.theirs
    ids = {
        "customer_id": theirs.id,
        "machine_id": theirs.agent.machine_id,
        "actor": theirs.owner.client.user_id,
    }
    lists = [e for e in people() if e.method == "GET" and not e.parameters and not e.streams]
    assert len(lists) > 5
    for endpoint in lists:
        filters = [{}] + [{name: ids[name]} for name in endpoint.query if name in ids]
        filters.append({"q": theirs.agent.name})
        for person in (ours.owner, ours.member):
            if not endpoint.admits(person.role):
                continue
            for params in filters:
                answer = await person.client.call("GET", endpoint.path.removeprefix("/api/v1"), params=params)
                problems += expect(answer, {200}, f"{person.role}: {endpoint} {params}")
                shown = [mark for mark in theirs.marks() if mark.encode() in answer.body]
                problems += [f"{person.role}: {endpoint} {params} shows {mark} of others" for mark in shown]
                if "customer_id" in params or "machine_id" in params:
                    problems += [] if answer.json["total"] == 0 else [f"{endpoint} {params}: not empty"]
    assert not problems, "\n".join(problems)


async def test_members_see_only_their_own_sessions(world: World) -> None:
    ours = world.ours
    await stage.open_session(ours.owner.client, ours.agent)
    seen_by_member = (await ours.member.client.get("/sessions"))["items"]
    assert {entry["user_id"] for entry in seen_by_member} == {ours.member.client.user_id}
    seen_by_owner = (await ours.owner.client.get("/sessions"))["items"]
    assert {entry["user_id"] for entry in seen_by_owner} >= {
        ours.owner.client.user_id,
        ours.member.client.user_id,
    }


async def test_only_admins_make_owners(world: World) -> None:
    ours = world.ours
    body = {"email": "second@example.com", "display_name": "Second", "role": "customer_owner"}
    path = f"/customers/{ours.id}/members"
    assert (await ours.owner.client.call("POST", path, body)).code == "forbidden"
    created = await world.admin.client.post(path, body, expect=201)
    change = f"{path}/{created['id']}"
    assert (await ours.owner.client.call("PATCH", change, {"disabled": True})).code == "forbidden"
    assert (await ours.owner.client.call("POST", f"{change}/reset-password")).code == "forbidden"


async def test_whoever_is_declared_gets_through(admin: Client) -> None:
    """In a world of its own, which it uses up. A route may say no for reasons of its own, but not for who is asking."""
    problems: list[str] = []
    world = await stage.build(admin)
    ours = world.ours
    for endpoint in people():
        for person in (ours.member, ours.owner, world.admin):
            if not endpoint.admits(person.role):
                continue
            answer = await call(endpoint, person.client, ours, person, world)
            wanted = {101} if endpoint.method == "WS" else {200, 201, 202, 204, 409}
            if endpoint.name == "change_password":
                wanted = {403}  # the body holds a wrong current password
                problems += expect(answer, wanted, f"{person.role}: {endpoint}", "invalid_credentials")
                continue
            problems += expect(answer, wanted, f"{person.role}: {endpoint}")
    assert not problems, "\n".join(problems)
