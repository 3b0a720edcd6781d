"""The browser's terminal: echo beside a direct local PTY, throughput of 50 MB, memory while nobody reads."""

import argparse
import asyncio
import json
import os
import pty
import time
import uuid

import aiohttp
import uvloop

from harness import Person, Site, percentiles, report, site
from world import World, leased_world

MEGABYTES = 50
KEYS = 400
MARK = b"__END_OF_OUTPUT__"


async def run(running: Site) -> None:
    async with aiohttp.ClientSession() as http, leased_world(running, http) as world:
        direct = await asyncio.to_thread(_direct_echo)
        socket = await _open(world)
        through = await _echo(socket)
        speed, grown = await _flood(world, socket)
        stalled = await _stall(world)
    added = round(percentiles(through)["p99_ms"] - percentiles(direct)["p99_ms"], 2)
    report(
        "terminal",
        "at most 5 ms added at p99; 50 MB at 20 MB/s or more; no growth of the server's memory",
        direct_pty=percentiles(direct),
        through_platform=percentiles(through),
        added_p99_ms=added,
        throughput_mb_per_s=round(speed, 1),
        server_growth_mib={"during_output": round(grown, 1), "unread_for_5_s": round(stalled, 1)},
        met=added <= 5 and speed >= 20 and stalled < 16,
    )


def _direct_echo() -> list[float]:
    """The same keys in a shell on a PTY of this host."""
    pid, descriptor = pty.fork()
    if pid == 0:
        os.execvp("bash", ["bash", "--norc", "--noprofile"])
    time.sleep(0.5)
    os.read(descriptor, 65536)
    waits: list[float] = []
    for _ in range(KEYS):
        began = time.perf_counter()
        os.write(descriptor, b"x")
        while b"x" not in os.read(descriptor, 4096):
            pass
        waits.append(time.perf_counter() - began)
        time.sleep(0.003)
    os.close(descriptor)
    os.waitpid(pid, 0)
    return waits


async def _open(world: World) -> aiohttp.ClientWebSocketResponse:
    person: Person = world.member
    ticket = (await person.call("POST", f"/machines/{world.machine_id}/terminal-ticket"))["ticket"]
    url = f"{person.url}/machines/{world.machine_id}/terminal?ticket={ticket}&shell={uuid.uuid4()}&cols=200&rows=50"
    socket = await person.http.ws_connect(url, max_msg_size=0)
    while True:
        message = await socket.receive()
        if message.type is aiohttp.WSMsgType.TEXT and json.loads(message.data)["type"] == "ready":
            break
        if message.type is not aiohttp.WSMsgType.BINARY:
            raise RuntimeError(f"the terminal did not open: {message}")
    await asyncio.sleep(1)
    return socket


async def _read_until(socket: aiohttp.ClientWebSocketResponse, wanted: bytes) -> int:
    """Bytes read until ``wanted`` has come."""
    tail, count = b"", 0
    while wanted not in tail:
        message = await socket.receive()
        if message.type is aiohttp.WSMsgType.BINARY:
            count += len(message.data)
            tail = (tail + message.data)[-len(wanted) - len(message.data) :]
        elif message.type is not aiohttp.WSMsgType.TEXT:
            raise RuntimeError(f"the terminal closed: {message}")
    return count


async def _echo(socket: aiohttp.ClientWebSocketResponse) -> list[float]:
    await socket.send_bytes(b"PS1= ; echo re''ady\n")
    await _read_until(socket, b"ready\r\n")
    await asyncio.sleep(0.3)
    waits: list[float] = []
    for _ in range(KEYS):
        began = time.perf_counter()
        await socket.send_bytes(b"x")
        await _read_until(socket, b"x")
        waits.append(time.perf_counter() - began)
        await asyncio.sleep(0.003)
    await socket.send_bytes(b"\x15")
    return waits


def _flood_command(megabytes: int) -> bytes:
    count = megabytes * 1_000_000 * 3 // 4
    return f"head -c {count} /dev/zero | base64 -w 0; printf '%s%s' {MARK[:8].decode()} {MARK[8:].decode()}\n".encode()


async def _flood(world: World, socket: aiohttp.ClientWebSocketResponse) -> tuple[float, float]:
    """MB/s of 50 MB of output, and how much the server grew meanwhile."""
    before, peak = world.server.rss_mib(), 0.0

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, world.server.rss_mib())
            await asyncio.sleep(0.2)

    watching = asyncio.create_task(watch())
    began = time.perf_counter()
    await socket.send_bytes(_flood_command(MEGABYTES))
    count = await _read_until(socket, MARK)
    seconds = time.perf_counter() - began
    watching.cancel()
    return count / 1_000_000 / seconds, peak - before


async def _stall(world: World) -> float:
    """MiB the server grows while a terminal with much output is not read at all."""
    socket = await _open(world)
    before = world.server.rss_mib()
    await socket.send_bytes(_flood_command(4 * MEGABYTES))
    transport = socket._conn.transport if socket._conn else None  # noqa: SLF001 - stop reading for real
    assert transport is not None
    transport.pause_reading()
    await asyncio.sleep(5)
    return world.server.rss_mib() - before


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    with site() as running_site:
        uvloop.run(run(running_site))
