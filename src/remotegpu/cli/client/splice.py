"""Joins standard input and output to a WebSocket, with back-pressure in both directions."""

import asyncio
import os
import select
import sys

import aiohttp

from remotegpu.cli.output import print_note
from remotegpu.protocol.streams import (
    CLOSE_ACCESS_ENDED,
    CLOSE_GOING_AWAY,
    CLOSE_REFUSED,
    CLOSE_UNREACHABLE,
    FRAME_BYTES,
)

REASONS = {
    CLOSE_ACCESS_ENDED: "access has ended: the lease is over",
    CLOSE_UNREACHABLE: "the machine did not answer in time; try again later",
    CLOSE_REFUSED: "not allowed",
    CLOSE_GOING_AWAY: "the server restarts; connect again",
}


async def splice_stdio(socket: aiohttp.ClientWebSocketResponse) -> int:
    """Copies until either side ends. Returns 0 for an orderly end, 1 for one with a reason on stderr."""
    upward = asyncio.create_task(send_stdin(socket))
    try:
        await receive_stdout(socket)
    finally:
        upward.cancel()
        await asyncio.gather(upward, return_exceptions=True)
    reason = REASONS.get(socket.close_code or 0)
    if reason:
        print_note(f"remotegpu: {reason}")
        return 1
    return 0


async def send_stdin(socket: aiohttp.ClientWebSocketResponse) -> None:
    """``send_bytes`` waits while the server cannot take more, and so do we with reading."""
    reader = await open_stdin()
    while block := await reader.read(FRAME_BYTES):
        await socket.send_bytes(block)
    await socket.close()


async def open_stdin() -> asyncio.StreamReader:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=FRAME_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    return reader


async def receive_stdout(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Writes each frame fully before asking for the next; a closed pipe ends it."""
    descriptor = sys.stdout.fileno()
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY:
            continue
        try:
            await asyncio.to_thread(write_all, descriptor, message.data)
        except BrokenPipeError:
            return


def write_all(descriptor: int, block: bytes) -> None:
    """Also where input and output are one socket, which reading has made non-blocking."""
    view = memoryview(block)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
