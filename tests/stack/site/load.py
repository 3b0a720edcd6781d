"""A process that asks a site so many times a second, whatever becomes of the answers, and counts what failed.

``python -m stack.site.load URL PER_SECOND``; the access token is the first line of its input, any further line ends it.
A request fails with a status of 400 or more, with a broken connection, or after ten seconds. A GET on a kept connection
that the server closed meanwhile is sent again over a fresh one, as RFC 9112 (9.3.1) has it and browsers do; these are
counted: nginx before 1.27.4 closes idle connections when it reloads.
"""

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace

import aiohttp

from stack.site import door

TIMEOUT = aiohttp.ClientTimeout(total=10)
CONNECTIONS = 24
SHOWN_FAILURES = 20


class Tally:
    """What came of the requests. Latencies in seconds."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.failures: list[str] = []
        self.attempts = 0
        self.began = time.monotonic()

    def answered(self, path: str, status: int, began: float) -> None:
        self.latencies.append(time.monotonic() - began)
        self.statuses[str(status)] += 1
        if status >= 400:
            self.fail(path, str(status))

    def fail(self, path: str, why: str) -> None:
        self.failures.append(f"{time.monotonic() - self.began:.2f} s {path}: {why}")

    def report(self) -> dict[str, object]:
        ordered = sorted(self.latencies) or [0.0]
        requests = len(self.latencies) + len(self.failures) - self.statuses_of_failures()
        seconds = time.monotonic() - self.began
        return {
            "requests": requests,
            "failed": len(self.failures),
            "seconds": round(seconds, 1),
            "per_second": round(requests / seconds, 1),
            "p50_ms": round(1000 * ordered[len(ordered) // 2], 1),
            "p99_ms": round(1000 * ordered[len(ordered) * 99 // 100], 1),
            "max_ms": round(1000 * ordered[-1], 1),
            "sent_again": self.attempts - requests,
            "statuses": dict(self.statuses),
            "failures": self.failures[:SHOWN_FAILURES],
        }

    def statuses_of_failures(self) -> int:
        """Answers that failed are in both lists."""
        return sum(count for status, count in self.statuses.items() if int(status) >= 400)


class Visitor:
    """Asks over kept connections; once more over a fresh one when the server closed a kept one under the question."""

    def __init__(
        self, url: str, kept: aiohttp.ClientSession, fresh: aiohttp.ClientSession, tally: Tally
    ) -> None:
        self._url, self._kept, self._fresh, self._tally = url, kept, fresh, tally

    async def ask(self, path: str, headers: dict[str, str]) -> None:
        began = time.monotonic()
        try:
            status = await self._status(path, headers)
        except (aiohttp.ClientError, TimeoutError) as error:
            self._tally.fail(path, f"{type(error).__name__} {error}")
        else:
            self._tally.answered(path, status, began)

    async def _status(self, path: str, headers: dict[str, str]) -> int:
        try:
            return await self._fetch(self._kept, path, headers)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            return await self._fetch(self._fresh, path, headers)

    async def _fetch(self, http: aiohttp.ClientSession, path: str, headers: dict[str, str]) -> int:
        async with http.get(f"{self._url}{path}", headers=headers) as answer:
            await answer.read()
            return answer.status


def requests(token: str) -> Iterator[tuple[str, dict[str, str]]]:
    return itertools.cycle(
        [("/api/v1/machines", {"Authorization": f"Bearer {token}"}), ("/health", {}), ("/", {})]
    )


def counting(tally: Tally) -> aiohttp.TraceConfig:
    async def count(*_: object) -> None:
        tally.attempts += 1

    trace = aiohttp.TraceConfig(SimpleNamespace)
    trace.on_connection_reuseconn.append(count)
    trace.on_connection_create_end.append(count)
    return trace


async def run(url: str, per_second: int) -> Tally:
    tally = Tally()
    lines = asyncio.get_running_loop().run_in_executor
    token = (await lines(None, sys.stdin.readline)).strip()
    end = lines(None, sys.stdin.readline)
    async with (
        session(tally, aiohttp.TCPConnector(limit=CONNECTIONS)) as kept,
        session(tally, aiohttp.TCPConnector(force_close=True)) as fresh,
    ):
        print("running", flush=True)  # noqa: T201 - the other process waits for it
        await at_a_rate(Visitor(url, kept, fresh, tally), token, per_second, end)
    return tally


def session(tally: Tally, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=connector, timeout=TIMEOUT, trace_configs=[counting(tally)])


async def at_a_rate(visitor: Visitor, token: str, per_second: int, end: asyncio.Future[str]) -> None:
    under_way: set[asyncio.Task[None]] = set()
    began = time.monotonic()
    for number, (path, headers) in enumerate(requests(token)):
        if end.done():
            break
        await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
        task = asyncio.create_task(visitor.ask(path, headers))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)


if __name__ == "__main__":
    door.enter()
    found = asyncio.run(run(sys.argv[1], int(sys.argv[2])))
    print(json.dumps(found.report()))  # noqa: T201 - for the other process
