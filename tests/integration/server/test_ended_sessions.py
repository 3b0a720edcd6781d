"""What was opened with a sign-in or a token closes with it, whatever ends it; what was opened with another stays."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable

import aiohttp
import pytest

from integration.server.conftest import World
from integration.server.test_access import Terminal, raw_stream, terminal
from remotegpu.protocol import streams as wire
from server_client import Client, new_member, new_password
from simulated_agent import SimulatedAgent, simulated_inventory, ssh

SOON = 5.0

End = Callable[[World, str, Client], Awaitable[object]]


async def signs_out(_world: World, _customer: str, person: Client) -> object:
    return await person.post("/auth/logout", {"refresh_token": person.refresh_token}, expect=204)


async def changes_the_password(_world: World, _customer: str, person: Client) -> object:
    body = {"current_password": person.password, "new_password": new_password()}
    return await person.post("/auth/password", body)


async def gets_a_new_password(world: World, customer: str, person: Client) -> object:
    return await world.admin.post(f"/customers/{customer}/members/{person.user_id}/reset-password", {})


async def loses_the_refresh_token_to_a_thief(_world: World, _customer: str, person: Client) -> object:
    """Three exchanges, then the first token again: two parties hold the session."""
    first = token = person.refresh_token
    for _ in range(2):
        answer = await person.post(
            "/auth/refresh", {"refresh_token": token}, headers={"X-Token-Delivery": "body"}
        )
        token = answer["refresh_token"]
    return await person.post("/auth/refresh", {"refresh_token": first}, expect=401)


ENDS: list[tuple[End, str]] = [
    (signs_out, "you signed out"),
    (changes_the_password, "the password was changed"),
    (gets_a_new_password, "the password was reset"),
    (loses_the_refresh_token_to_a_thief, "the session was ended"),
]
ends = pytest.mark.parametrize(("end", "reason"), ENDS, ids=[end.__name__ for end, _ in ENDS])


@contextlib.asynccontextmanager
async def events(person: Client) -> AsyncGenerator[aiohttp.StreamReader]:
    headers = {"Authorization": f"Bearer {person.token}"}
    async with person.http.get(person.url("/events"), headers=headers) as stream:
        assert b"connected" in await stream.content.readline()
        yield stream.content


async def until_over(stream: aiohttp.StreamReader) -> None:
    async with asyncio.timeout(SOON):
        await stream.read()


async def answers(opened: Terminal, word: str) -> None:
    await opened.socket.send_bytes(f"{word}\n".encode())
    await opened.until(f"you said {word}".encode())


async def leased_to(world: World) -> tuple[str, Client, SimulatedAgent]:
    customer, person = await world.new_company()
    return customer["id"], person, await world.leased(customer_id=customer["id"], serve=ssh)


@ends
async def test_terminals_and_events_of_a_sign_in_close_with_it(world: World, end: End, reason: str) -> None:
    customer, person, host = await leased_to(world)
    colleague = await new_member(world.admin, customer)
    async with (
        host.running(),
        terminal(world, host, person) as cut,
        terminal(world, host, colleague) as kept,
        events(person) as stream,
    ):
        await cut.until(b"size")
        await kept.until(b"size")
        await end(world, customer, person)
        assert await cut.until_closed(SOON) == wire.CLOSE_ACCESS_ENDED
        assert cut.controls[-1] == {"type": "closed", "reason": reason}
        await until_over(stream)
        await answers(kept, "colleagues stay")


@ends
async def test_a_ticket_opens_nothing_once_its_sign_in_is_over(world: World, end: End, reason: str) -> None:
    customer, person, host = await leased_to(world)
    ticket = (await person.post(f"/machines/{host.machine_id}/terminal-ticket", {}))["ticket"]
    await end(world, customer, person)
    path = f"{world.server.url}/api/v1/machines/{host.machine_id}/terminal"
    with pytest.raises(aiohttp.WSServerHandshakeError):
        async with world.http.ws_connect(path, params={"ticket": ticket, "shell": "again"}):
            pytest.fail(f"a ticket of before still opens a terminal although {reason}")


async def test_another_sign_in_and_a_token_outlive_a_sign_out(world: World) -> None:
    customer, person, host = await leased_to(world)
    elsewhere = await Client(world.http, world.server.url).sign_in(person.user["email"], person.password)
    secret = (await person.post("/auth/tokens", {"name": "script"}, expect=201))["token"]
    script = person.with_token(secret)
    async with (
        host.running(),
        terminal(world, host, elsewhere) as other_window,
        terminal(world, host, script) as of_script,
    ):
        await other_window.until(b"size")
        await of_script.until(b"size")
        await signs_out(world, customer, person)
        await asyncio.sleep(1)
        await answers(other_window, "here I am")
        await answers(of_script, "so am I")


async def test_what_a_personal_token_opened_closes_with_it(world: World) -> None:
    _, person, host = await leased_to(world)
    made = await person.post("/auth/tokens", {"name": "script"}, expect=201)
    script = person.with_token(made["token"])
    async with host.running(), raw_stream(world, host, script) as cut, events(script) as stream:
        await cut.receive_bytes()
        await person.delete(f"/auth/tokens/{made['id']}")
        async with asyncio.timeout(SOON):
            while (await cut.receive()).type in {aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT}:
                pass
        assert cut.close_code == wire.CLOSE_ACCESS_ENDED
        await until_over(stream)


async def test_a_sign_in_that_ends_on_another_server_process_ends_here(world: World) -> None:
    customer, person, host = await leased_to(world)
    with world.another_server() as other:
        there = Client(world.http, other.url, person.token, person.refresh_token)
        async with host.running(), terminal(world, host, person) as cut, events(person) as stream:
            await cut.until(b"size")
            await signs_out(world, customer, there)
            assert await cut.until_closed(SOON) == wire.CLOSE_ACCESS_ENDED
            await until_over(stream)


async def test_a_new_inventory_shows_in_the_next_list(world: World) -> None:
    host = await world.leased()
    seen = next(one for one in await listed(world.member) if one["id"] == host.machine_id)
    assert seen["gpu_count"] == 2
    async with events(world.member) as stream:
        host.inventory = simulated_inventory(host.name, 1)
        await host.sync()
        seen = next(one for one in await listed(world.member) if one["id"] == host.machine_id)
        assert seen["gpu_count"] == 1
        async with asyncio.timeout(SOON):
            while host.machine_id.encode() not in await stream.readline():
                pass


async def listed(person: Client) -> list[dict[str, object]]:
    return (await person.get("/machines?page_size=200"))["items"]
