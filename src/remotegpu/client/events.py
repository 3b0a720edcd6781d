"""Server-sent events, as the HTML standard's section 9.2 describes them; reads what our server writes."""

from collections.abc import AsyncIterator

import aiohttp
import msgspec


class Event(msgspec.Struct):
    """``name`` is ``message`` when the stream did not say."""

    name: str
    data: str


async def read_events(stream: aiohttp.StreamReader) -> AsyncIterator[Event]:
    """Yields events until the stream ends; comments (``:``) only keep the connection alive."""
    name, data = "message", list[str]()
    async for raw in unlimited_lines(stream):
        line = raw.decode(errors="replace").rstrip("\r\n")
        if not line:
            if data:
                yield Event(name, "\n".join(data))
            name, data = "message", []
            continue
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if key == "event":
            name = value
        elif key == "data":
            data.append(value)


async def unlimited_lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length; the reader's own iteration refuses those above its buffer size (a long log chunk)."""
    pending = bytearray()
    async for block in stream.iter_any():
        pending += block
        *lines, rest = bytes(pending).split(b"\n")
        for line in lines:
            yield line
        pending = bytearray(rest)
    if pending:
        yield bytes(pending)
