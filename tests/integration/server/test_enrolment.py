"""How a host gets in, and how it is kept out."""

import asyncio
import uuid

import msgspec
import pytest

from integration.server.conftest import World
from remotegpu.server.core.database import transaction
from remotegpu.server.domains.machines import tokens
from simulated_agent import RefusedError


async def refused(world: World, join_token: str, **fields: object) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        await world.host(**fields).enrol(join_token)
    return caught.value


async def test_join_token_lets_in_as_many_hosts_as_it_says_and_no_more(world: World) -> None:
    once, thrice = await world.join_token(), await world.join_token(max_uses=3)
    await world.host().enrol(once["token"])
    for _ in range(3):
        await world.host().enrol(thrice["token"])
    for token, uses in ((once, "1 of 1"), (thrice, "3 of 3")):
        error = await refused(world, token["token"])
        assert (error.status, error.code) == (401, "join_token_refused")
        assert uses in error.detail
        assert "create a new one" in error.detail


async def test_last_use_of_a_join_token_goes_to_exactly_one_of_many_hosts(world: World) -> None:
    for _ in range(5):
        token = (await world.join_token())["token"]
        answers = await asyncio.gather(*(world.host().enrol(token) for _ in range(8)), return_exceptions=True)
        losers = [answer for answer in answers if isinstance(answer, BaseException)]
        assert len(losers) == 7
        assert {(error.status, error.code) for error in losers if isinstance(error, RefusedError)} == {
            (401, "join_token_refused")
        }


async def test_expired_revoked_and_unknown_join_tokens_say_what_is_wrong(world: World) -> None:
    expired, revoked = await world.join_token(), await world.join_token()
    world.sql("UPDATE join_tokens SET expires_at = now() - interval '1 minute' WHERE id = %s", expired["id"])
    await world.admin.delete(f"/join-tokens/{revoked['id']}")
    assert "expired at" in (await refused(world, expired["token"])).detail
    assert "was revoked" in (await refused(world, revoked["token"])).detail
    assert "is unknown" in (await refused(world, "rgj_nonsense")).detail


async def test_name_that_is_taken_is_refused_and_costs_no_use_of_the_token(world: World) -> None:
    token = (await world.join_token())["token"]
    known = await world.machine()
    error = await refused(world, token, name=known.name)
    assert (error.status, error.code) == (409, "machine_name_taken")
    assert "--name" in error.detail
    await world.host().enrol(token)


async def test_two_hosts_with_one_name_at_once_make_one_machine(world: World) -> None:
    for _ in range(5):
        name = world.host().name
        made = [(await world.join_token())["token"] for _ in range(4)]
        answers = await asyncio.gather(*(world.host(name).enrol(t) for t in made), return_exceptions=True)
        errors = [answer for answer in answers if isinstance(answer, RefusedError)]
        assert [error.status for error in errors] == [409] * 3
        assert len(world.sql("SELECT 1 FROM machines WHERE name = %s", name)) == 1


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "../etc",
        "a/b",
        "a b",
        "-a",
        "a\x00b",
        "\u202egpu",
        "😀",
        "a" * 64,
        "<b>",
        "'; DROP TABLE machines;--",
    ],
)
async def test_hostile_machine_name_is_refused_and_costs_no_use_of_the_token(world: World, name: str) -> None:
    token = (await world.join_token())["token"]
    host = world.host("x")
    host.name = name
    with pytest.raises(RefusedError) as caught:
        await host.enrol(token)
    assert caught.value.status in {400, 422}, str(caught.value)
    await world.host().enrol(token)


@pytest.mark.parametrize("version", ["0.9", "2.0", "1.3", "9.9", "", "one", "1", "1.1.1", "1." + "9" * 5000])
async def test_agent_whose_protocol_is_too_far_away_is_told_what_to_install(
    world: World, version: str
) -> None:
    token = (await world.join_token())["token"]
    error = await refused(world, token, protocol_version=version)
    assert error.status in {426, 422}, str(error)
    if len(version) < 100:
        assert (error.status, error.code) == (426, "agent_protocol_unsupported")
        assert "install the agent release that belongs to this server" in error.detail
    host = await world.machine()
    host.protocol_version = version
    with pytest.raises(RefusedError) as caught:
        await host.sync()
    assert caught.value.status in {426, 422}


async def test_rotated_node_token_works_at_once_and_the_old_one_for_the_overlap(world: World) -> None:
    host = await world.machine()
    old, rotation = host.token, await host.rotate_token()
    await host.sync()
    host.token = rotation.agent_token
    await host.sync()
    assert rotation.overlap_s == 3600
    world.sql(
        "UPDATE node_tokens SET expires_at = now() - interval '1 second' WHERE machine_id = %s "
        "AND expires_at IS NOT NULL",
        host.machine_id,
    )
    with world.another_server() as other:  # it has no memory of the old token
        host.server_url, host.token = other.url, old
        with pytest.raises(RefusedError) as caught:
            await host.sync()
        assert (caught.value.status, caught.value.code) == (401, "node_token_refused")
        host.token = rotation.agent_token
        await host.sync()


async def test_remembered_token_is_forgotten_when_its_overlap_ends(world: World) -> None:
    host = await world.machine()
    rotation = await host.rotate_token()
    world.sql(
        "UPDATE node_tokens SET expires_at = now() + interval '1 second' WHERE machine_id = %s "
        "AND expires_at IS NOT NULL",
        host.machine_id,
    )
    await host.sync()  # looked up anew after the rotation, and remembered from here on
    await asyncio.sleep(1.2)
    with pytest.raises(RefusedError, match="expired or revoked"):
        await host.sync()
    host.token = rotation.agent_token
    await host.sync()


async def test_rotation_that_an_admin_asks_for_reaches_the_agent_and_is_then_over(world: World) -> None:
    host = await world.machine()
    await world.admin.post(f"/machines/{host.machine_id}/rotate-token", expect=202)
    await host.sync()
    assert host.desired is not None
    assert host.desired.rotate_token
    host.token = (await host.rotate_token()).agent_token
    await host.sync()
    assert not host.desired.rotate_token


async def test_deleted_machine_is_refused_at_once_by_every_server_process(world: World) -> None:
    with world.another_server() as other:
        host = await world.machine()
        here, there = host.server_url, other.url
        host.server_url = there
        await host.sync()  # both processes remember the token now
        host.server_url = here
        polling = asyncio.create_task(host.sync(wait=True))
        await asyncio.sleep(0.3)
        await world.admin.delete(f"/machines/{host.machine_id}")
        began = asyncio.get_running_loop().time()
        with pytest.raises(RefusedError) as caught:
            await polling
        assert asyncio.get_running_loop().time() - began < 1
        assert caught.value.code == "node_token_refused"
        await asyncio.sleep(0.2)
        for url in (here, there):
            host.server_url = url
            with pytest.raises(RefusedError) as caught:
                await host.rotate_token()
            assert (caught.value.status, caught.value.code) == (401, "node_token_refused")


async def test_message_that_tokens_changed_clears_the_memory_even_of_the_other_process(world: World) -> None:
    """Without it, a token stays remembered for the bound of 30 s."""
    host = await world.machine()
    world.sql("DELETE FROM node_tokens WHERE machine_id = %s", host.machine_id)
    await host.sync()  # remembered: the database was not asked
    async with transaction(world.services.sessions) as tx:
        await tokens.rotate_node_token(tx, uuid.UUID(host.machine_id))
    await asyncio.sleep(0.5)
    with pytest.raises(RefusedError):
        await host.sync()


async def test_unusable_inventory_is_refused_with_the_field_and_changes_nothing(world: World) -> None:
    host = await world.machine()
    headers = {"Authorization": f"Bearer {host.token}", "Content-Type": "application/json"}
    for wrong in ({"memory_bytes": -1}, {"memory_bytes": 2**70}, {"hostname": "a\x00b"}, {"gpus": "none"}):
        body = msgspec.to_builtins(host._request(wait=False))
        body["inventory"] = msgspec.to_builtins(host.inventory) | wrong
        url = f"{world.server.url}/api/v1/agent/sync"
        async with world.http.post(url, json=body, headers=headers) as response:
            problem = await response.json()
            assert response.status == 422, problem
            assert next(iter(wrong)) in problem["errors"][0]["field"]
    assert (await world.see(host))["inventory"]["hostname"] == host.name
