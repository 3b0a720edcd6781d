"""Whoever may not, at once: a first password not yet changed, a disabled account, a suspended company."""

import asyncio

import pytest_asyncio

import server_client as sc
from integration.server_api import world as stage
from integration.server_api.bodies import body_for
from integration.server_api.calling import call, expect, people
from integration.server_api.world import World
from server_client import Client


@pytest_asyncio.fixture(loop_scope="session")
async def world(admin: Client) -> World:
    """A company for each test; the other one is not needed here."""
    ours = await stage.build_company(admin)
    join = await admin.post("/join-tokens", {"name": "rack"}, expect=201)
    return World(await stage.furnish(admin, stage.Role.ADMIN), ours, ours, join["id"])


async def refused_everywhere(
    world: World, client: Client, code: str, *, but: tuple[str, ...] = ()
) -> list[str]:
    """Problems of a client that must be refused on every route for people, except those named."""
    problems: list[str] = []
    for endpoint in people():
        if endpoint.name in but:
            continue
        answer = await call(endpoint, client, world.ours, world.ours.member, world)
        problems += expect(answer, {401, 403}, f"{code}: {endpoint}", code)
    return problems


async def test_a_first_password_opens_nothing_but_its_change(world: World) -> None:
    admin, ours = world.admin.client, world.ours
    created = await admin.post(
        f"/customers/{ours.id}/members",
        {"email": "fresh@example.com", "display_name": "Fresh", "role": "customer_owner"},
        expect=201,
    )
    fresh = await admin.anonymous().sign_in("fresh@example.com", created["initial_password"])
    allowed = tuple(e.name for e in people() if e.declared.before_password_change)
    assert set(allowed) == {"me", "change_password"}
    problems = await refused_everywhere(world, fresh, "password_change_required", but=allowed)
    assert not problems, "\n".join(problems)
    assert (await fresh.get("/auth/me"))["must_change_password"] is True
    await fresh.change_password(sc.new_password())
    assert (await fresh.get("/machines"))["total"] == 1


async def test_a_reset_password_also_stops_personal_tokens_and_sessions(world: World) -> None:
    ours = world.ours
    member = ours.member
    assert member.personal is not None
    path = f"/customers/{ours.id}/members/{member.client.user_id}/reset-password"
    await ours.owner.client.post(path)
    assert (await member.client.call("GET", "/machines")).code == "session_ended"
    problems = await refused_everywhere(
        world, member.personal, "password_change_required", but=("me", "change_password")
    )
    assert not problems, "\n".join(problems)


async def test_a_disabled_account_is_refused_at_once(world: World) -> None:
    ours = world.ours
    member = ours.member
    assert member.personal is not None
    path = f"/customers/{ours.id}/members/{member.client.user_id}"
    await ours.owner.client.patch(path, {"disabled": True})
    problems = await refused_everywhere(world, member.client, "session_ended")
    problems += await refused_everywhere(world, member.personal, "account_disabled")
    assert not problems, "\n".join(problems)
    again = {"email": member.client.user["email"], "password": member.client.password}
    assert (
        await world.admin.client.anonymous().call("POST", "/auth/login", again)
    ).code == "account_disabled"
    refresh = {"refresh_token": member.client.refresh_token}
    assert (await member.client.anonymous().call("POST", "/auth/refresh", refresh)).status == 401
    await ours.owner.client.patch(path, {"disabled": False})
    assert (await member.personal.get("/auth/me"))["id"] == member.client.user_id


async def test_a_suspended_company_is_refused_at_once(world: World) -> None:
    ours = world.ours
    await world.admin.client.patch(f"/customers/{ours.id}", {"status": "suspended"})
    problems: list[str] = []
    for person in (ours.owner, ours.member):
        assert person.personal is not None
        problems += await refused_everywhere(world, person.client, "session_ended")
        problems += await refused_everywhere(world, person.personal, "customer_suspended")
    assert not problems, "\n".join(problems)
    again = {"email": ours.owner.client.user["email"], "password": ours.owner.client.password}
    assert (
        await ours.owner.client.anonymous().call("POST", "/auth/login", again)
    ).code == "customer_suspended"
    await world.admin.client.patch(f"/customers/{ours.id}", {"status": "active"})
    await ours.owner.client.sign_in(again["email"], again["password"])


async def test_an_open_event_stream_ends_with_the_right_to_it(world: World) -> None:
    ours = world.ours
    member = ours.member.client
    headers = {"Authorization": f"Bearer {member.token}"}
    async with member.http.get(member.url("/events"), headers=headers) as stream:
        assert b"connected" in await stream.content.readline()
        await ours.owner.client.patch(
            f"/customers/{ours.id}/members/{ours.spare_id}", {"display_name": "Renamed"}
        )
        async with asyncio.timeout(5):
            while b"event: change" not in await stream.content.readline():
                pass
        path = f"/customers/{ours.id}/members/{member.user_id}"
        await ours.owner.client.patch(path, {"disabled": True})
        async with asyncio.timeout(5):
            rest = await stream.content.read()
    assert b"event: change" not in rest


async def test_an_open_log_ends_with_the_right_to_it(world: World) -> None:
    ours = world.ours
    member, agent = ours.member.client, ours.agent
    task = await member.post("/tasks", body_for("submit_task", ours, ours.member), expect=201)
    await agent.sync()
    assert agent.desired is not None
    log = f"/agent/attempts/{agent.desired.attempts[-1].attempt_id}/log"
    headers = {"Authorization": f"Bearer {member.token}"}
    async with member.http.get(member.url(f"/tasks/{task['id']}/log/stream"), headers=headers) as stream:
        await agent.client.post(f"{log}?offset=0", raw=b"before\n")
        async with asyncio.timeout(5):
            while b"before" not in await stream.content.readline():
                pass
        path = f"/customers/{ours.id}/members/{member.user_id}"
        await ours.owner.client.patch(path, {"disabled": True})
        await agent.client.post(f"{log}?offset=7", raw=b"after\n")
        async with asyncio.timeout(5):
            rest = await stream.content.read()
    assert b"after" not in rest
