"""Agents one minor version older and newer than the server do a whole job with it."""

import secrets
from typing import TypeVar

import aiohttp
import msgspec
import pytest

from integration.server.conftest import World
from newer_protocol import with_unknown_fields
from remotegpu.protocol.attempts import AttemptSpec
from remotegpu.protocol.version import PROTOCOL_VERSION, parse
from server_client import lease
from simulated_agent import SimulatedAgent, echo

T = TypeVar("T")

MAJOR, MINOR = parse(PROTOCOL_VERSION)
OLDER, NEWER = f"{MAJOR}.{MINOR - 1}", f"{MAJOR}.{MINOR + 1}"
LOG = b"step 1\nstep 2\n"
FILES = {"model/weights.bin": secrets.token_bytes(5000), "empty": b""}


class NewerAgent(SimulatedAgent):
    """Says more than this server has heard of, in every message."""

    async def call(self, path: str, body: msgspec.Struct | bytes | None, kind: type[T], **headers: str) -> T:
        if isinstance(body, msgspec.Struct):
            body = with_unknown_fields(msgspec.json.encode(body))
        return await super().call(path, body, kind, **headers)


async def train(agent: SimulatedAgent, spec: AttemptSpec) -> None:
    """An attempt with everything an attempt can leave."""
    agent.begin(spec.attempt_id)
    await agent.send_log(spec.attempt_id, LOG)
    files = await agent.upload(spec.attempt_id, FILES)
    agent.finish(spec.attempt_id, artifacts=files, log_bytes=len(LOG))


@pytest.mark.skipif(MINOR == 0, reason="the first minor version has no older neighbour")
async def test_agent_one_minor_version_older_does_a_whole_job(world: World) -> None:
    host = world.host(protocol_version=OLDER, work=train, serve=echo)
    await do_a_whole_job(world, host)


async def test_agent_one_minor_version_newer_does_a_whole_job(world: World) -> None:
    name = f"newer-{secrets.token_hex(4)}"
    host = NewerAgent(world.http, world.server.url, name, protocol_version=NEWER, work=train, serve=echo)
    await do_a_whole_job(world, host)


async def do_a_whole_job(world: World, host: SimulatedAgent) -> None:
    await host.enrol((await world.join_token())["token"])
    await host.sync()
    machine = await world.until(host, lambda machine: machine["reachable"])
    assert machine["protocol_version"] == host.protocol_version
    await lease(world.admin, host.machine_id, world.customer["id"])
    async with host.running():
        task = await world.submit(host, env={"SEED": "1"})
        done = await world.until_task(task["id"], "succeeded", "failed")
        assert done["state"] == "succeeded"
        log = await world.member.call("GET", f"/tasks/{task['id']}/log")
        assert log.body == LOG
        assert {file["path"]: file["size_bytes"] for file in done["artifacts"]} == {
            path: len(body) for path, body in FILES.items()
        }
        await speak_through_a_stream(world, host)
        host.token = (await host.rotate_token()).agent_token
        again = await world.submit(host)
        assert (await world.until_task(again["id"], "succeeded", "failed"))["state"] == "succeeded"
    await world.end_lease(host)
    async with host.running():
        await world.until_allocation(host, lambda allocation: allocation["state"] == "ended")


async def speak_through_a_stream(world: World, host: SimulatedAgent) -> None:
    url = f"{world.server.url}/api/v1/machines/{host.machine_id}/ssh"
    headers = {"Authorization": f"Bearer {world.member.token}"}
    async with world.http.ws_connect(url, headers=headers) as socket:
        await socket.send_bytes(b"hello")
        answer = await socket.receive(timeout=10)
        assert (answer.type, answer.data) == (aiohttp.WSMsgType.BINARY, b"hello")
