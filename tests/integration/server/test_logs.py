"""Logs: what the host wrote is what people read, whatever happens in between."""

import asyncio
import contextlib
import itertools
import json
import random
from collections.abc import AsyncGenerator
from typing import Any

import obstore
import pytest

from integration.server.conftest import World
from remotegpu.protocol.attempts import LOG_CHUNK_BYTES
from server_client import ServerProcess
from simulated_agent import RefusedError, SimulatedAgent


async def running_attempt(world: World) -> tuple[SimulatedAgent, str, str]:
    """Host, task id and attempt id of a task that runs."""
    host = await world.leased()
    task = await world.submit(host)
    await host.sync()
    attempt_id = (await host.next_attempt()).attempt_id
    host.begin(attempt_id)
    await host.sync()
    return host, task["id"], attempt_id


async def read(world: World, task_id: str, offset: int = 0) -> bytes:
    answer = await world.member.call("GET", f"/tasks/{task_id}/log?offset={offset}")
    assert answer.status == 200, answer.body
    return answer.body


async def followed(
    world: World, task_id: str, offset: int = 0, url: str = ""
) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
    """Events of the live log."""
    headers = {"Authorization": f"Bearer {world.member.token}"}
    path = f"{url or world.server.url}/api/v1/tasks/{task_id}/log/stream?offset={offset}"
    async with world.http.get(path, headers=headers) as response:
        assert response.status == 200, await response.text()
        event = ""
        async for line in response.content:
            field, _, value = line.decode().rstrip("\r\n").partition(": ")
            if field == "event":
                event = value
            elif field == "data" and event:
                yield event, json.loads(value)
                event = ""


async def all_events(
    world: World, task_id: str, offset: int = 0, url: str = ""
) -> list[tuple[str, dict[str, Any]]]:
    """Everything up to the end."""
    found: list[tuple[str, dict[str, Any]]] = []
    async with asyncio.timeout(30), contextlib.aclosing(followed(world, task_id, offset, url)) as events:
        async for event, body in events:
            found.append((event, body))
            if event == "end":
                break
    return found


async def empty_cache(world: World) -> None:
    """What a restart of the cache does to logs. It would also end sign-ins, which is another story."""
    redis = world.services.redis
    if keys := [key async for key in redis.scan_iter(match="log:*")]:
        await redis.delete(*keys)


def text_of(events: list[tuple[str, dict[str, Any]]]) -> str:
    return "".join(body["text"] for event, body in events if event == "chunk")


def letters(size: int, seed: int) -> bytes:
    """Text of about ``size`` bytes with characters of one to four bytes."""
    generator = random.Random(seed)
    text = "".join(generator.choice("abc \n äöü 中文日志 🚀🔥") for _ in range(size // 2))
    return text.encode()[:size]


@pytest.mark.parametrize("size", [0, 1, LOG_CHUNK_BYTES - 1, LOG_CHUNK_BYTES, LOG_CHUNK_BYTES + 1, 700_000])
async def test_any_chunking_gives_the_same_bytes(world: World, size: int) -> None:
    content = letters(size, seed=size)
    generator = random.Random(size)
    host, task_id, attempt_id = await running_attempt(world)
    offset = 0
    while offset < len(content):
        piece = content[offset : offset + generator.randint(1, LOG_CHUNK_BYTES)]
        ack = await host.push_log(attempt_id, piece, offset=offset)
        assert ack.accepted
        offset += len(piece)
        assert ack.next_offset == offset
        assert await read(world, task_id, max(0, offset - 10)) == content[max(0, offset - 10) : offset]
    assert (await host.push_log(attempt_id, b"", offset=offset, final=True)).accepted
    assert await read(world, task_id) == content
    for start in {0, 1, len(content) // 2, len(content), len(content) + 5}:
        assert await read(world, task_id, start) == content[start:]
    host.finish(attempt_id, log_bytes=len(content))
    await host.sync()
    assert (await world.task(task_id))["log_bytes"] == len(content)


async def test_whole_log_lies_in_the_object_store_when_it_is_final(world: World) -> None:
    content = letters(600_000, seed=1)
    host, task_id, attempt_id = await running_attempt(world)
    await host.send_log(attempt_id, content, chunk=100_000)
    await empty_cache(world)
    bases = range(0, len(content), LOG_CHUNK_BYTES)
    names = [f"logs/{task_id}/{attempt_id}/{base:015d}" for base in bases]
    stored = b"".join([await world.services.objects.get(name) for name in names])
    assert stored == content


async def test_push_at_the_wrong_offset_is_told_where_to_go_on_and_changes_nothing(world: World) -> None:
    host, task_id, attempt_id = await running_attempt(world)
    await host.push_log(attempt_id, b"0123456789", offset=0)
    for offset in (0, 3, 11, 10_000_000, 2**53):
        ack = await host.push_log(attempt_id, b"wrong", offset=offset)
        assert (ack.accepted, ack.next_offset) == (False, 10), offset
    assert await read(world, task_id) == b"0123456789"
    final = await host.push_log(attempt_id, b"", offset=4, final=True)
    assert (final.accepted, final.next_offset) == (False, 10)


async def test_push_that_is_repeated_because_its_answer_was_lost_is_stored_once(world: World) -> None:
    content = letters(LOG_CHUNK_BYTES + 50_000, seed=2)
    host, task_id, attempt_id = await running_attempt(world)
    offset = 0
    for size in (100_000, LOG_CHUNK_BYTES - 100_000, 50_000):
        piece, final = content[offset : offset + size], offset + size == len(content)
        answers = [await host.push_log(attempt_id, piece, offset=offset, final=final) for _ in range(2)]
        offset += size
        assert {answer.next_offset for answer in answers} == {offset}
    assert await read(world, task_id) == content


async def test_pushes_that_overtake_each_other_never_tear_the_log(world: World) -> None:
    content = letters(500_000, seed=3)
    host, task_id, attempt_id = await running_attempt(world)
    offset = 0
    while offset < len(content):
        size = 60_000
        acks = await asyncio.gather(
            *(host.push_log(attempt_id, content[offset : offset + size], offset=offset) for _ in range(3))
        )
        offset = max(ack.next_offset for ack in acks)
    await host.send_log(attempt_id, content)
    assert await read(world, task_id) == content


async def test_cache_that_is_emptied_in_the_middle_costs_a_rewind_and_no_byte(world: World) -> None:
    content = letters(700_000, seed=4)
    host, task_id, attempt_id = await running_attempt(world)
    offset, rewinds = 0, 0
    pieces = 0
    while True:
        piece = content[offset : offset + 70_000]
        final = offset + len(piece) == len(content)
        ack = await host.push_log(attempt_id, piece, offset=offset, final=final)
        rewinds += ack.next_offset < offset
        offset = ack.next_offset
        if final and ack.accepted:
            break
        pieces += 1
        if pieces in {2, 7, 11}:
            await empty_cache(world)
    assert rewinds >= 2
    assert await read(world, task_id) == content


async def test_object_store_that_is_away_answers_503_and_the_log_is_complete_later(world: World) -> None:
    content = letters(LOG_CHUNK_BYTES + 100_000, seed=5)
    host, task_id, attempt_id = await running_attempt(world)
    env = {**world.env, "S3_ENDPOINT": "http://127.0.0.1:1", "INSTANCE_NAME": "without-store"}
    process = ServerProcess(env, world.directory / "without-store.log")
    process._wait_until_ready = lambda: None  # it never is
    try:
        process.start()
        async with asyncio.timeout(30):
            while True:
                try:
                    host.server_url = process.url
                    await host.push_log(attempt_id, content[:200_000], offset=0)
                    break
                except OSError:
                    await asyncio.sleep(0.1)
        filling = content[200_000:LOG_CHUNK_BYTES]
        for _ in range(2):
            with pytest.raises(RefusedError) as caught:
                await host.push_log(attempt_id, filling, offset=200_000)
            assert (caught.value.status, caught.value.code) == (503, "object_store_unavailable")
        with pytest.raises(RefusedError) as caught:  # an agent that believes the full buffer was stored
            await host.push_log(attempt_id, content[LOG_CHUNK_BYTES:], offset=LOG_CHUNK_BYTES)
        assert caught.value.status == 503
    finally:
        process.stop()
        host.server_url = world.server.url
    ack = await host.push_log(attempt_id, content[LOG_CHUNK_BYTES:], offset=LOG_CHUNK_BYTES, final=True)
    assert (ack.accepted, ack.next_offset) == (True, len(content))
    assert await read(world, task_id) == content


async def test_reading_while_the_object_store_is_away_is_an_error_and_not_half_a_log(world: World) -> None:
    host, task_id, attempt_id = await running_attempt(world)
    await host.send_log(attempt_id, b"something")
    name = f"logs/{task_id}/{attempt_id}/{0:015d}"
    await obstore.delete_async(world.services.objects._store, name)
    answer = await world.member.call("GET", f"/tasks/{task_id}/log")
    assert (answer.status, answer.code) == (503, "object_store_unavailable")


async def test_live_log_brings_every_line_at_once_and_ends_with_the_task(world: World) -> None:
    host, task_id, attempt_id = await running_attempt(world)
    with world.another_server() as other:
        for url in (world.server.url, other.url):
            offset = len(await read(world, task_id))
            events = followed(world, task_id, offset, url)
            first = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0.5)
            began = asyncio.get_running_loop().time()
            await host.push_log(attempt_id, b"a line\n", offset=offset)
            event, body = await asyncio.wait_for(first, 5)
            assert asyncio.get_running_loop().time() - began < 1
            assert (event, body["text"], body["offset"]) == ("chunk", "a line\n", offset)
            assert body["next_offset"] == offset + 7
            await events.aclose()
    ending = asyncio.ensure_future(all_events(world, task_id))
    await host.push_log(attempt_id, b"the end\n", offset=14, final=True)
    host.finish(attempt_id, "failed", exit_code=7, log_truncated=True)
    await host.sync()
    events = await ending
    assert text_of(events) == "a line\na line\nthe end\n"
    assert events[-1] == ("end", {"state": "failed", "exit_code": 7, "truncated": True})
    assert (await world.task(task_id))["log_truncated"] is True


async def test_live_log_catches_up_from_any_offset_even_inside_a_character(world: World) -> None:
    content = "zwölf 中文 🚀 done\n".encode()
    host, task_id, attempt_id = await running_attempt(world)
    await host.send_log(attempt_id, content)
    host.finish(attempt_id)
    await host.sync()
    for offset in range(len(content) + 1):
        events = await all_events(world, task_id, offset)
        assert text_of(events) == content[offset:].decode(errors="replace"), offset
        chunks = [body for event, body in events if event == "chunk"]
        ends = [offset, *(body["next_offset"] for body in chunks)]
        assert [body["offset"] for body in chunks] == ends[:-1]
        assert ends[-1] == len(content)


async def test_character_that_is_cut_by_a_segment_or_a_push_arrives_whole(world: World) -> None:
    rocket = "🚀".encode()
    content = b"x" * (LOG_CHUNK_BYTES - 2) + rocket + b"y" * 10 + rocket
    host, task_id, attempt_id = await running_attempt(world)
    following = asyncio.ensure_future(all_events(world, task_id))
    cuts = [0, LOG_CHUNK_BYTES - 3, LOG_CHUNK_BYTES - 1, LOG_CHUNK_BYTES + 1, len(content) - 3, len(content)]
    for start, end in itertools.pairwise(cuts):
        await host.push_log(attempt_id, content[start:end], offset=start, final=end == len(content))
        await asyncio.sleep(0.1)
    host.finish(attempt_id)
    await host.sync()
    assert text_of(await following) == content.decode()


async def test_live_log_of_a_task_that_never_wrote_one_ends_with_the_task(world: World) -> None:
    host, task_id, attempt_id = await running_attempt(world)
    ending = asyncio.ensure_future(all_events(world, task_id))
    await asyncio.sleep(0.3)
    host.finish(attempt_id, "stopped", exit_code=None)
    await host.sync()
    events = await asyncio.wait_for(ending, 3)
    assert events == [("end", {"state": "stopped", "exit_code": None, "truncated": False})]


async def test_live_log_goes_on_with_the_next_attempt(world: World) -> None:
    host = await world.leased()
    task = await world.submit(host, max_retries=1)
    following = asyncio.ensure_future(all_events(world, task["id"]))
    for number, state in ((1, "failed"), (2, "succeeded")):
        await world.until_task(task["id"], "assigned")
        await host.sync()
        attempt_id = (await host.next_attempt()).attempt_id
        host.begin(attempt_id)
        await host.send_log(attempt_id, f"attempt {number}\n".encode())
        host.finish(attempt_id, state)  # pyright: ignore[reportArgumentType] - one of the final states
        await host.sync()
    events = await following
    assert text_of(events) == "attempt 1\nattempt 2\n"
    assert events[-1][1]["state"] == "succeeded"
    first = await world.member.call("GET", f"/tasks/{task['id']}/log?attempt=1")
    assert first.body == b"attempt 1\n"


async def test_log_of_a_queued_task_is_empty_and_a_cancelled_one_ends(world: World) -> None:
    host = await world.leased()
    await world.submit(host, gpus=2)
    waiting = await world.submit(host, gpus=2)
    assert await read(world, waiting["id"]) == b""
    ending = asyncio.ensure_future(all_events(world, waiting["id"]))
    await world.member.post(f"/tasks/{waiting['id']}/stop", {})
    assert (await ending)[-1][1]["state"] == "cancelled"


async def test_piece_that_is_too_large_is_refused(world: World) -> None:
    host, task_id, attempt_id = await running_attempt(world)
    with pytest.raises(RefusedError) as caught:
        await host.push_log(attempt_id, b"x" * (LOG_CHUNK_BYTES + 1), offset=0)
    assert caught.value.status == 413
    assert await read(world, task_id) == b""


async def test_artifacts_go_up_and_down_with_their_checksums(world: World) -> None:
    host, task_id, attempt_id = await running_attempt(world)
    files = {"result.json": b'{"loss": 0.1}', "deep/er/模型.bin": bytes(range(256)) * 4000, "empty": b""}
    listed = await host.upload(attempt_id, files)
    await host.send_log(attempt_id, b"")
    host.finish(attempt_id, artifacts=listed)
    await host.sync()
    found = (await world.member.get(f"/tasks/{task_id}/artifacts"))["items"]
    assert {file["path"]: file["size_bytes"] for file in found} == {p: len(body) for p, body in files.items()}
    for file in found:
        target = await world.member.get(f"/artifacts/{file['id']}/download")
        assert target["sha256"] == file["sha256"]
        async with world.http.get(target["url"]) as response:
            assert response.status == 200
            assert await response.read() == files[file["path"]]
    _, stranger = await world.new_company()
    assert (await stranger.call("GET", f"/artifacts/{found[0]['id']}/download")).status == 404


@pytest.mark.parametrize(
    "path",
    ["", "/", "/etc/passwd", "..", "../x", "a/../b", "a//b", "./a", "a/.", "n\x00l", "x" * 1025, "é" * 600],
)
async def test_hostile_artifact_path_is_refused_by_name(world: World, path: str) -> None:
    host, _, attempt_id = await running_attempt(world)
    with pytest.raises(RefusedError) as caught:
        await host.upload(attempt_id, {path: b"x"})
    assert (caught.value.status, caught.value.code) == (422, "invalid_artifacts")


async def test_upload_for_an_attempt_that_has_ended_is_refused(world: World) -> None:
    host, _, attempt_id = await running_attempt(world)
    host.finish(attempt_id)
    await host.sync()
    with pytest.raises(RefusedError) as caught:
        await host.upload(attempt_id, {"late.txt": b"x"})
    assert (caught.value.status, caught.value.code) == (409, "attempt_closed")
