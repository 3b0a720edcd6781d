"""Pages of machines and who asks are remembered for a moment, yet nobody is shown what is over or not theirs."""

from typing import Any

from integration.server.conftest import World
from server_client import Client, lease
from simulated_agent import SimulatedAgent


async def listed(client: Client, host: SimulatedAgent) -> dict[str, Any] | None:
    """How the machine shows in the first page of ``client``."""
    page = await client.get("/machines?page_size=200")
    return next((machine for machine in page["items"] if machine["id"] == host.machine_id), None)


async def test_a_change_shows_in_the_next_list(world: World) -> None:
    host = await world.machine()
    before = await listed(world.admin, host)
    assert before is not None
    name = f"{before['name']}-renamed"
    await world.admin.patch(f"/machines/{host.machine_id}", {"name": name, "maintenance": True})
    after = await listed(world.admin, host)
    assert after is not None
    assert (after["name"], after["maintenance"], after["state"]) == (name, True, "maintenance")
    await world.admin.delete(f"/machines/{host.machine_id}")
    assert await listed(world.admin, host) is None


async def test_a_list_shows_a_company_only_what_it_holds_now(world: World) -> None:
    _, stranger = await world.new_company()
    host = await world.machine()
    assert [await listed(who, host) for who in (world.member, stranger)] == [None, None]
    allocation = await lease(world.admin, host.machine_id, world.customer["id"])
    for _ in range(3):
        seen = await listed(world.member, host)
        assert seen is not None
        assert seen["allocation"]["id"] == allocation["id"]
        assert await listed(stranger, host) is None
    await world.end_lease(host)
    assert [await listed(who, host) for who in (world.member, stranger)] == [None, None]


async def test_pages_that_differ_in_one_word_are_different(world: World) -> None:
    host = await world.machine()
    name = (await world.see(host))["name"]
    for query, found in [
        (f"q={name}", 1),
        (f"q={name}&state=allocated", 0),
        (f"q={name}&maintenance=false", 1),
    ]:
        page = await world.admin.get(f"/machines?{query}")
        assert len(page["items"]) == found, query


async def test_another_server_process_forgets_too(world: World) -> None:
    host = await world.machine()
    with world.another_server() as other:
        there = Client(world.http, other.url, world.admin.token)
        for number in range(20):
            assert await listed(there, host) is not None
            await world.admin.patch(f"/machines/{host.machine_id}", {"region": f"r{number}"})
        await world.until(host, lambda machine: machine["region"] == "r19")
        seen = await listed(there, host)
        while seen is not None and seen["region"] != "r19":
            seen = await listed(there, host)
        assert seen is not None


async def test_who_signed_out_is_refused_by_every_server_process(world: World) -> None:
    _, person = await world.new_company()
    with world.another_server() as other:
        there = Client(world.http, other.url, person.token)
        await there.get("/machines")
        await person.post("/auth/logout", {"refresh_token": person.refresh_token}, expect=204)
        assert (await person.call("GET", "/machines")).code == "session_ended"
        answers = [(await there.call("GET", "/machines")).code for _ in range(200)]
        assert answers[-1] == "session_ended"
