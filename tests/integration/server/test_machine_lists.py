"""Pages of machines and who asks are remembered for a moment, yet nobody is shown what is over or not theirs."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from integration.server.conftest import World, eventually
from server_client import Client, ServerProcess, lease
from simulated_agent import SimulatedAgent

LONG_MEMORY = (str(Path(__file__).with_name("long_memory.py")),)


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


@pytest.fixture(scope="module")
async def remembering(world: World) -> AsyncIterator[ServerProcess]:
    """A second server process that forgets nothing by itself for a minute, and hears what the first one says."""
    with world.another_server(launcher=LONG_MEMORY) as other:
        host, number = await world.machine(), itertools.count()

        async def hears(client: Client) -> dict[str, Any]:
            region = f"r{next(number)}"
            await listed(client, host)
            await world.admin.patch(f"/machines/{host.machine_id}", {"region": region})
            return {"heard": await shows(client, host, region)}

        there = Client(world.http, other.url, world.admin.token)
        await eventually(
            lambda: hears(there), lambda found: found["heard"]
        )  # it subscribes after it is ready
        yield other


async def shows(client: Client, host: SimulatedAgent, region: str) -> bool:
    seen = await listed(client, host)
    return seen is not None and seen["region"] == region


async def test_another_server_process_forgets_too(world: World, remembering: ServerProcess) -> None:
    host = await world.machine()
    there = Client(world.http, remembering.url, world.admin.token)
    for number in range(20):
        await listed(there, host)
        await world.admin.patch(f"/machines/{host.machine_id}", {"region": f"r{number}"})
        await within_moments(lambda region=f"r{number}": shows(there, host, region))


async def test_a_page_is_remembered_until_somebody_says_that_it_changed(
    world: World, remembering: ServerProcess
) -> None:
    """Else the test above would hold for a server that remembers nothing."""
    host = await world.machine()
    there = Client(world.http, remembering.url, world.admin.token)
    remembered: list[bool] = []
    for number in range(20):  # tests beside this one share the channel: now and then it is told to forget
        await listed(there, host)
        world.sql("UPDATE machines SET region = %s WHERE id = %s", f"silent-{number}", host.machine_id)
        remembered.append(not await shows(there, host, f"silent-{number}"))
    assert any(remembered)


async def test_who_signed_out_is_refused_by_every_server_process(
    world: World, remembering: ServerProcess
) -> None:
    _, person = await world.new_company()
    there = Client(world.http, remembering.url, person.token)
    await there.get("/machines")
    await person.post("/auth/logout", {"refresh_token": person.refresh_token}, expect=204)
    assert (await person.call("GET", "/machines")).code == "session_ended"

    async def is_refused() -> bool:
        return (await there.call("GET", "/machines")).code == "session_ended"

    await within_moments(is_refused)


async def within_moments(condition: Callable[[], Awaitable[bool]]) -> None:
    """Far sooner than the memory would end by itself."""

    async def look() -> dict[str, Any]:
        return {"so": await condition()}

    await eventually(look, lambda found: found["so"], seconds=2)
