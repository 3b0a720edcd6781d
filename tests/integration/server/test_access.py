"""Remote access: certificates, tickets, terminals and SSH streams, and how each of them ends."""

import asyncio
import base64
import contextlib
import json
import secrets
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import asyncssh
import pytest

from integration.server.conftest import World, eventually
from remotegpu.protocol import streams as wire
from server_client import Client, new_member
from simulated_agent import SimulatedAgent, echo, ssh

SETTINGS = {"AGENT_DIAL_TIMEOUT": "2s"}


class Terminal:
    """A browser's terminal."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.output = b""
        self.controls: list[dict[str, Any]] = []

    async def until(self, wanted: bytes, seconds: float = 10) -> bytes:
        """Output so far, once ``wanted`` is in it."""
        async with asyncio.timeout(seconds):
            while wanted not in self.output:
                assert await self._take(), f"closed with {self.controls} after {self.output!r}"
        return self.output

    async def until_control(self, kind: str, seconds: float = 10) -> dict[str, Any]:
        async with asyncio.timeout(seconds):
            while not (found := [control for control in self.controls if control["type"] == kind]):
                assert await self._take(), f"closed with {self.controls}, code {self.socket.close_code}"
        return found[0]

    async def until_closed(self, seconds: float = 20) -> int | None:
        """The close code."""
        async with asyncio.timeout(seconds):
            while await self._take():
                pass
        return self.socket.close_code

    async def _take(self) -> bool:
        message = await self.socket.receive()
        if message.type is aiohttp.WSMsgType.BINARY:
            self.output += message.data
        elif message.type is aiohttp.WSMsgType.TEXT:
            self.controls.append(json.loads(message.data))
        return message.type in {aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT}


@contextlib.asynccontextmanager
async def terminal(
    world: World, host: SimulatedAgent, client: Client | None = None, *, url: str = "", **query: Any
) -> AsyncGenerator[Terminal]:
    """A terminal opened with a ticket, as a browser does."""
    client = client or world.member
    ticket = (await client.post(f"/machines/{host.machine_id}/terminal-ticket", {}))["ticket"]
    params = {"ticket": ticket, "shell": secrets.token_hex(8), **query}
    path = f"{url or world.server.url}/api/v1/machines/{host.machine_id}/terminal"
    async with world.http.ws_connect(
        path, params={key: str(value) for key, value in params.items()}
    ) as socket:
        yield Terminal(socket)


@contextlib.asynccontextmanager
async def raw_stream(
    world: World, host: SimulatedAgent, client: Client | None = None, *, url: str = ""
) -> AsyncGenerator[aiohttp.ClientWebSocketResponse]:
    """The bytes that a ProxyCommand of OpenSSH would move."""
    client = client or world.member
    path = f"{url or world.server.url}/api/v1/machines/{host.machine_id}/ssh"
    headers = {"Authorization": f"Bearer {client.token}"}
    async with world.http.ws_connect(path, headers=headers, max_msg_size=0) as socket:
        yield socket


async def sessions(world: World, host: SimulatedAgent) -> list[dict[str, Any]]:
    return (await world.admin.get(f"/sessions?machine_id={host.machine_id}"))["items"]


async def until_session(
    world: World, host: SimulatedAgent, *states: str, seconds: float = 10
) -> dict[str, Any]:
    async def latest() -> dict[str, Any]:
        return next(iter(await sessions(world, host)), {"state": "none"})

    return await eventually(latest, lambda session: session["state"] in states, seconds)


async def test_certificate_is_good_for_one_lease_and_some_minutes(world: World) -> None:
    host = await world.leased(serve=ssh)
    key = asyncssh.generate_private_key("ssh-ed25519")
    before = datetime.now(UTC)
    signed = await world.member.post(
        f"/machines/{host.machine_id}/ssh-certificate", {"public_key": key.export_public_key().decode()}
    )
    certificate = asyncssh.import_certificate(signed["certificate"])
    allocation = await world.allocation(host)
    assert certificate.principals == [f"allocation:{allocation['id']}"]
    assert signed["account"] == allocation["account"]
    assert signed["host_key"] == host.inventory.ssh_host_key
    assert timedelta(minutes=4) < datetime.fromisoformat(signed["expires_at"]) - before < timedelta(minutes=6)
    assert host.desired.ssh_ca_keys == [certificate.signing_key.export_public_key().decode().strip()]
    assert b"user:" + world.member.user_id.encode() in key_id_of(signed["certificate"])


def key_id_of(line: str) -> bytes:
    """Certificates carry the key id as plain text."""
    return base64.b64decode(line.split()[1])


@pytest.mark.parametrize(
    "key", ["ssh-ed25519 " + "A" * 40, "x" * 30, "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n"]
)
async def test_unusable_key_is_refused_with_a_hint(world: World, key: str) -> None:
    host = await world.leased()
    answer = await world.member.call(
        "POST", f"/machines/{host.machine_id}/ssh-certificate", {"public_key": key}
    )
    assert (answer.status, answer.code) == (422, "invalid_ssh_key")
    assert answer.json["errors"][0]["field"] == "public_key"


async def test_openssh_client_over_the_stream_signs_in_with_the_certificate(world: World) -> None:
    host = await world.leased(serve=ssh)
    key = asyncssh.generate_private_key("ssh-ed25519")
    async with host.running():
        signed = await world.member.post(
            f"/machines/{host.machine_id}/ssh-certificate", {"public_key": key.export_public_key().decode()}
        )
        async with raw_stream(world, host) as socket, tunnel(socket) as port:
            connection = await asyncssh.connect(
                "127.0.0.1",
                port,
                username=signed["account"],
                client_keys=[(key, asyncssh.import_certificate(signed["certificate"]))],
                known_hosts=([asyncssh.import_public_key(signed["host_key"])], [], []),
                config=None,
            )
            done = await connection.run("ignored", input="hello\nexit 3\n")
            assert "you said hello" in str(done.stdout)
            assert done.exit_status == 3
            connection.close()


@contextlib.asynccontextmanager
async def tunnel(socket: aiohttp.ClientWebSocketResponse) -> AsyncGenerator[int]:
    """A local port that leads into the stream."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def outwards() -> None:
            while body := await reader.read(65_536):
                await socket.send_bytes(body)

        sending = asyncio.create_task(outwards())
        async for message in socket:
            writer.write(message.data)
            await writer.drain()
        sending.cancel()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_ticket_opens_one_terminal_once_and_not_for_long(world: World) -> None:
    host, other = await world.leased(serve=ssh), await world.leased(serve=ssh)

    async def status(ticket: str, machine: SimulatedAgent, path: str = "terminal") -> int:
        url = f"{world.server.url}/api/v1/machines/{machine.machine_id}/{path}"
        try:
            async with world.http.ws_connect(url, params={"ticket": ticket, "shell": "s"}) as socket:
                await socket.receive()
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status

    async def ticket() -> str:
        return (await world.member.post(f"/machines/{host.machine_id}/terminal-ticket", {}))["ticket"]

    async with host.running():
        used = await ticket()
        assert await status(used, host) == 101
        assert await status(used, host) in {401, 403}
        for machine, path in ((other, "terminal"), (host, "ssh")):
            assert await status(await ticket(), machine, path) in {401, 403}
        assert await status("made-up", host) in {401, 403}
        stale = await ticket()
        keys = [key async for key in world.services.redis.scan_iter(match="ticket:*")]
        lifetimes = [await world.services.redis.ttl(key) for key in keys]
        assert lifetimes
        assert all(0 < seconds <= 30 for seconds in lifetimes)
        await world.services.redis.delete(*keys)
        assert await status(stale, host) in {401, 403}


async def test_terminal_carries_output_input_sizes_and_the_exit_code(world: World) -> None:
    host = await world.leased(serve=ssh)
    async with host.running(), terminal(world, host, cols=101, rows=33, shell="my-shell") as opened:
        ready = await opened.until_control("ready")
        assert ready["shell"] == "my-shell"
        await opened.until(b"size 101x33")
        await opened.socket.send_bytes("grüße 🚀\n".encode())
        await opened.until("you said grüße 🚀".encode())
        await opened.socket.send_str('{"type":"resize","cols":120,"rows":40}')
        await opened.until(b"size 120x40")
        for nonsense in ("", "{}", "not json", '{"type":"resize","cols":"x","rows":1}', '{"type":"newer"}'):
            await opened.socket.send_str(nonsense)
        await opened.socket.send_bytes(b"still there\n")
        await opened.until(b"you said still there")
        active = await until_session(world, host, "active")
        assert active["id"] == ready["session_id"]
        await opened.socket.send_bytes(b"exit 7\n")
        assert (await opened.until_control("exit"))["code"] == 7
        assert (await opened.until_control("closed"))["reason"] == "the shell ended with code 7"
        assert await opened.until_closed() == wire.CLOSE_NORMAL
        closed = await until_session(world, host, "closed")
    assert closed["end_reason"] == "the shell ended with code 7"
    assert closed["protocol"] == "terminal"
    assert closed["bytes_in"] >= 30
    assert closed["bytes_out"] >= len(opened.output)
    assert closed["user_id"] == world.member.user_id
    assert closed["ended_at"] is not None


async def test_much_output_arrives_whole_and_in_order(world: World) -> None:
    host = await world.leased(serve=ssh)
    async with host.running(), terminal(world, host) as opened:
        await opened.until_control("ready")
        await opened.socket.send_bytes(b"flood 8000000\nexit 0\n")
        await opened.until_control("exit", seconds=60)
    assert opened.output.count(b"x") >= 8_000_000


async def test_end_of_the_lease_closes_the_terminal_with_the_reason_and_for_good(world: World) -> None:
    host = await world.leased(serve=ssh)
    async with host.running(), terminal(world, host) as opened:
        await opened.until(b"size")
        began = time.monotonic()
        await world.end_lease(host, "unpaid")
        closed = await opened.until_control("closed")
        assert closed["reason"] == "the lease has ended: unpaid"
        assert await opened.until_closed() == wire.CLOSE_ACCESS_ENDED
        assert time.monotonic() - began < 2
        ended = await until_session(world, host, "terminated")
        assert ended["end_reason"] == "the lease has ended: unpaid"
        await world.until_allocation(host, lambda found: found["state"] == "ended")
        answer = await world.member.call("POST", f"/machines/{host.machine_id}/terminal-ticket", {})
        assert answer.status == 404


async def test_end_of_the_lease_on_another_server_process_closes_the_terminal_too(world: World) -> None:
    host = await world.leased(serve=ssh)
    with world.another_server() as other:
        host.via[other.env["INSTANCE_NAME"]] = other.url
        async with host.running(), terminal(world, host, url=other.url) as opened:
            await opened.until(b"size")
            began = time.monotonic()
            await world.end_lease(host)
            assert await opened.until_closed() == wire.CLOSE_ACCESS_ENDED
            assert time.monotonic() - began < 3


async def test_lost_message_of_the_end_is_made_up_for_within_seconds(world: World) -> None:
    host = await world.leased(serve=echo)
    async with host.running(), raw_stream(world, host) as socket:
        await until_session(world, host, "active")
        world.sql(
            "UPDATE access_sessions SET ending = 'as the test wants' WHERE machine_id = %s", host.machine_id
        )
        async with asyncio.timeout(8):
            while (await socket.receive()).type in {aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT}:
                pass
        assert socket.close_code == wire.CLOSE_ACCESS_ENDED


async def test_machine_that_does_not_dial_is_reported_as_unreachable(world: World) -> None:
    host = await world.leased()
    async with host.running(), terminal(world, host) as opened:
        assert "did not answer in time" in (await opened.until_control("closed"))["reason"]
        assert await opened.until_closed() == wire.CLOSE_UNREACHABLE
    assert (await until_session(world, host, "closed"))["end_reason"].startswith("the machine did not answer")


async def test_machine_that_is_known_to_be_unreachable_is_not_waited_for(world: World) -> None:
    host = await world.leased()
    await world.cut_off(host)
    async with terminal(world, host) as opened:
        assert "is unreachable" in (await opened.until_control("closed", seconds=1))["reason"]
        assert await opened.until_closed() == wire.CLOSE_UNREACHABLE
    assert await sessions(world, host) == []


async def test_person_who_gives_up_before_the_machine_dials_leaves_nothing_open(world: World) -> None:
    host = await world.leased()
    async with terminal(world, host):
        await until_session(world, host, "connecting")
    await until_session(world, host, "closed")


async def test_ssh_stream_moves_megabytes_both_ways_unchanged(world: World) -> None:
    host = await world.leased(serve=echo)
    content = secrets.token_bytes(5 * 1024 * 1024)
    async with host.running(), raw_stream(world, host) as socket:

        async def send() -> None:
            for start in range(0, len(content), wire.FRAME_BYTES):
                await socket.send_bytes(content[start : start + wire.FRAME_BYTES])

        sending = asyncio.create_task(send())
        received = bytearray()
        async with asyncio.timeout(60):
            while len(received) < len(content):
                message = await socket.receive()
                assert message.type is aiohttp.WSMsgType.BINARY, (message, socket.close_code)
                received += message.data
        await sending
    assert bytes(received) == content
    closed = await until_session(world, host, "closed")
    assert (closed["protocol"], closed["end_reason"]) == ("ssh", "closed by the user")
    assert closed["bytes_in"] == closed["bytes_out"] == len(content)


async def test_machine_that_hangs_up_ends_the_session(world: World) -> None:
    async def hang_up(_agent: SimulatedAgent, socket: aiohttp.ClientWebSocketResponse) -> None:
        await socket.receive()

    host = await world.leased(serve=hang_up)
    async with host.running(), raw_stream(world, host) as socket:
        await socket.send_bytes(b"x")
        control = json.loads((await socket.receive()).data)
        assert control == {"type": "closed", "reason": "the machine closed the connection"}
        await socket.receive()
        assert socket.close_code == wire.CLOSE_NORMAL
        await until_session(world, host, "closed")


async def test_machine_that_says_access_has_ended_is_believed(world: World) -> None:
    async def cut(_agent: SimulatedAgent, socket: aiohttp.ClientWebSocketResponse) -> None:
        await socket.receive()
        await socket.close(code=wire.CLOSE_ACCESS_ENDED, message=b"the key was removed")

    host = await world.leased(serve=cut)
    async with host.running(), raw_stream(world, host) as socket:
        await socket.send_bytes(b"x")
        while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
        assert socket.close_code == wire.CLOSE_ACCESS_ENDED
        await until_session(world, host, "terminated")


async def test_stream_is_handed_only_to_the_machine_it_is_for(world: World) -> None:
    host, stranger = await world.leased(), await world.machine()
    async with raw_stream(world, host):
        await until_session(world, host, "connecting")
        await host.sync()
        spec = host.desired.streams[0]
        for agent, headers in (
            (stranger, {}),
            (host, {"Authorization": "Bearer rgn_nonsense"}),
            (host, {"x-remotegpu-protocol": "9.9"}),
        ):
            socket = await agent.dial(spec, **headers)
            await socket.receive()
            assert socket.close_code == wire.CLOSE_REFUSED
        socket = await host.dial(spec)
        await until_session(world, host, "active")
        second = await host.dial(spec)
        await second.receive()
        assert second.close_code == wire.CLOSE_REFUSED
        await socket.close()


async def test_stranger_gets_neither_certificate_nor_ticket_nor_stream(world: World) -> None:
    host = await world.leased(serve=echo)
    _, stranger = await world.new_company()
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    path = f"/machines/{host.machine_id}"
    assert (await stranger.call("POST", f"{path}/ssh-certificate", {"public_key": key})).status == 404
    assert (await stranger.call("POST", f"{path}/terminal-ticket", {})).status == 404
    async with host.running(), raw_stream(world, host, stranger) as socket:
        while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
        assert socket.close_code == wire.CLOSE_REFUSED
    assert await sessions(world, host) == []
    with pytest.raises(aiohttp.WSServerHandshakeError):
        async with raw_stream(world, host, world.admin.with_token("nonsense")):
            pass


async def test_member_who_is_switched_off_loses_the_open_session(world: World) -> None:
    customer, member = await world.new_company()
    colleague = await new_member(world.admin, customer["id"])
    host = await world.leased(customer_id=customer["id"], serve=ssh)
    async with (
        host.running(),
        terminal(world, host, member) as cut,
        terminal(world, host, colleague) as kept,
    ):
        await cut.until(b"size")
        await kept.until(b"size")
        await world.admin.patch(f"/customers/{customer['id']}/members/{member.user_id}", {"disabled": True})
        assert await cut.until_closed() == wire.CLOSE_ACCESS_ENDED
        assert cut.controls[-1] == {"type": "closed", "reason": "the account was switched off"}
        await kept.socket.send_bytes(b"hello\n")
        await kept.until(b"you said hello")
        await world.admin.patch(f"/customers/{customer['id']}", {"status": "suspended"})
        assert await kept.until_closed() == wire.CLOSE_ACCESS_ENDED


async def test_sessions_are_listed_for_who_may_know_of_them(world: World) -> None:
    customer, member = await world.new_company()
    colleague = await new_member(world.admin, customer["id"])
    host = await world.leased(customer_id=customer["id"], serve=echo)
    async with host.running(), raw_stream(world, host, member):
        await until_session(world, host, "active")
        assert (await member.get("/sessions"))["total"] == 1
        assert (await colleague.get("/sessions"))["total"] == 0
        assert (await world.member.get(f"/sessions?machine_id={host.machine_id}"))["total"] == 0


async def test_server_that_is_killed_leaves_lost_sessions_and_no_machine_behind(world: World) -> None:
    host = await world.leased(serve=echo)
    with world.another_server() as other:
        host.via[other.env["INSTANCE_NAME"]] = other.url
        async with host.running(), raw_stream(world, host, url=other.url):
            await until_session(world, host, "active")
            other.stop(with_signal=9)
            await world.end_lease(host)
            lost = await until_session(world, host, "lost", seconds=40)
            assert lost["end_reason"] == "the server process that held it is gone"
            await world.until_allocation(host, lambda found: found["state"] == "ended")


async def test_server_that_starts_again_under_its_name_knows_that_it_holds_nothing(world: World) -> None:
    host = await world.leased(serve=echo)
    with world.another_server() as other:
        host.via[other.env["INSTANCE_NAME"]] = other.url
        async with host.running(), raw_stream(world, host, url=other.url):
            await until_session(world, host, "active")
            other.stop(with_signal=9)
            other.start()
            lost = await until_session(world, host, "lost", seconds=10)
            assert lost["end_reason"] == "the server was restarted"


async def test_server_that_is_stopped_tells_people_to_come_back(world: World) -> None:
    host = await world.leased(serve=ssh)
    with world.another_server() as other:
        host.via[other.env["INSTANCE_NAME"]] = other.url
        async with host.running(), terminal(world, host, url=other.url) as opened:
            await opened.until(b"size")
            stopping = asyncio.to_thread(other.stop)
            code, _ = await asyncio.gather(opened.until_closed(), stopping)
            assert code in {wire.CLOSE_GOING_AWAY, wire.CLOSE_RESTART}, code
            ended = await until_session(world, host, "lost", "closed")
            assert ended["end_reason"] == "the server was stopped; connect again"


async def test_emptied_cache_loses_no_session(world: World) -> None:
    host = await world.leased(serve=echo)
    async with host.running(), raw_stream(world, host) as socket:
        await until_session(world, host, "active")
        for _ in range(4):
            names = [key async for key in world.services.redis.scan_iter(match="instance:*")]
            if names:
                await world.services.redis.delete(*names)
            await asyncio.sleep(1)
        await socket.send_bytes(b"ping")
        assert (await socket.receive()).data == b"ping"
        assert (await sessions(world, host))[0]["state"] == "active"
