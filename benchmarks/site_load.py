"""A process that asks a site so many times a second, whatever becomes of the answers, and keeps every one.

``python site_load.py URL PER_SECOND MIX FILE``: the access token is the first line of its input, any further line ends
it; then FILE has one JSON array per request: [when it was sent, seconds, status, path, times], in the order of the
answers. The moments are of the monotonic clock, which all processes of a machine share. Status 0: no answer within ten
seconds, or a broken connection.

A server may close a kept connection at any moment, also when a request is on its way. As browsers do, and as RFC 9112
(9.3.1) allows for GET, such a request is sent again: by aiohttp on the next kept connection, which the same reload may
have closed, and then on a new one. ``times``: how often it was sent.
"""

import asyncio
import itertools
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import aiohttp

CONNECTIONS = 32
TIMEOUT = aiohttp.ClientTimeout(total=10)
MIXES: dict[str, tuple[str, ...]] = {
    "people": ("/api/v1/machines", "/health", "/"),
    "api": (
        "/api/v1/machines",
        "/api/v1/tasks",
        "/api/v1/allocations",
        "/api/v1/customers",
        "/api/v1/overview",
    ),
}
"""``people``: what a browser and a probe ask for. ``api``: reads that the database answers."""
Answer = tuple[float, float, int, str, int]


class Requests:
    """Sends them, and keeps what came of each."""

    def __init__(self, kept: aiohttp.ClientSession, new: aiohttp.ClientSession, url: str, token: str) -> None:
        self.kept = kept
        self.new = new
        self.url = url
        self.headers = {"Authorization": f"Bearer {token}"}
        self.answers: list[Answer] = []

    async def ask(self, path: str) -> None:
        began = time.monotonic()
        times: list[str] = []
        try:
            try:
                status = await self.fetch(self.kept, path, times)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                status = await self.fetch(self.new, path, times)
        except (aiohttp.ClientError, TimeoutError) as error:
            sys.stderr.write(f"{path}: {type(error).__name__} {error}\n")
            status = 0
        self.answers.append((began, time.monotonic() - began, status, path, len(times)))

    async def fetch(self, http: aiohttp.ClientSession, path: str, times: list[str]) -> int:
        async with http.get(self.url + path, headers=self.headers, trace_request_ctx=times) as answer:
            await answer.read()
            return answer.status


def counting() -> aiohttp.TraceConfig:
    """Each connection that a request is given is one time that it is sent."""

    async def count(_session: object, context: SimpleNamespace, _params: object) -> None:
        context.trace_request_ctx.append("sent")

    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(count)
    trace.on_connection_create_end.append(count)
    return trace


async def run(url: str, per_second: int, paths: tuple[str, ...]) -> list[Answer]:
    read = asyncio.get_running_loop().run_in_executor
    token = (await read(None, sys.stdin.readline)).strip()
    end = read(None, sys.stdin.readline)
    under_way: set[asyncio.Task[None]] = set()
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=TIMEOUT, trace_configs=[counting()]) as kept,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True), timeout=TIMEOUT, trace_configs=[counting()]
        ) as new,
    ):
        requests = Requests(kept, new, url, token)
        print("running", flush=True)
        began = time.monotonic()
        for number, path in enumerate(itertools.cycle(paths)):
            await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
            if end.done():
                break
            task = asyncio.create_task(requests.ask(path))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)
    return requests.answers


def within(answers: list[Answer], began: float, ended: float) -> list[Answer]:
    """Those sent in that time."""
    return [answer for answer in answers if began <= answer[0] < ended]


def longest_gap_ms(answers: list[Answer]) -> float:
    """Between two good answers, whichever they are of."""
    moments = sorted(sent + seconds for sent, seconds, status, *_ in answers if 200 <= status < 400)
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    return round(1000 * max(gaps, default=0.0), 1)


def failed(answers: list[Answer]) -> list[Answer]:
    return [answer for answer in answers if not 200 <= answer[2] < 400]


if __name__ == "__main__":
    from stack.site import door

    door.enter()
    found = asyncio.run(run(sys.argv[1], int(sys.argv[2]), MIXES[sys.argv[3]]))
    Path(sys.argv[4]).write_text("".join(f"{json.dumps(answer)}\n" for answer in found), encoding="utf-8")
