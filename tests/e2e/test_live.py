"""Pages follow what happens through the one event stream: they ask when something was announced, and only then."""

import asyncio
import json
import math
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest_asyncio
from playwright.async_api import Page, Request, expect

from e2e.fleet import join_token
from e2e.site import Site, until
from e2e.visitor import Visitor
from remotegpu.protocol.inventory import HostSample
from remotegpu.server.agents.desired import WATCHED_SAMPLE_SECONDS
from simulated_agent import SimulatedAgent, simulated_sample

QUIET_S = 6.0
SETTLE_S = 1.5
"""Pages gather changes for half a second, then ask; after this they have the answer to what came before."""
LOOK_S = 10.0
WATCH_EVERY_S = 20.0
"""How often the page says that somebody looks."""
SAMPLES = (0.21, 0.32, 0.43)


@pytest_asyncio.fixture(loop_scope="session")
async def host(site: Site) -> AsyncIterator[SimulatedAgent]:
    """Is heard of all the time, but measures itself only when the test wants it to."""
    agent = SimulatedAgent(site.http, site.url, f"measured-{secrets.token_hex(3)}")
    await agent.enrol(await join_token(site))
    path = f"/machines/{agent.machine_id}"

    async def reachable() -> bool:
        return bool((await site.admin.get(path))["reachable"])

    async with agent.running():
        await until(reachable, "the simulated host is reachable")
        yield agent
    await site.admin.delete(path)


class Asked:
    """What a page asks of the server, as ``GET /api/v1/…``."""

    def __init__(self, page: Page) -> None:
        self.requests: list[str] = []
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        self.requests.append(f"{request.method} {urlsplit(request.url).path}")

    def forget(self) -> None:
        self.requests.clear()


async def tab(visitor: Visitor, path: str) -> tuple[Page, Asked]:
    """Another tab of this person, complete and listening to events."""
    page = await visitor.context.new_page()
    asked = Asked(page)
    await page.goto(visitor.url + path)
    await expect(page.get_by_test_id("live-status")).to_have_attribute("data-status", "live")
    return page, asked


@asynccontextmanager
async def announced(site: Site) -> AsyncGenerator[list[str]]:
    """What the server announces besides samples, as it comes."""
    changes: list[str] = []
    headers = {"Authorization": f"Bearer {site.admin.token}"}
    forever = aiohttp.ClientTimeout(total=None)
    async with site.http.get(site.admin.url("/events"), headers=headers, timeout=forever) as stream:
        reading = asyncio.create_task(_read(stream, changes))
        try:
            yield changes
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _read(stream: aiohttp.ClientResponse, changes: list[str]) -> None:
    async for line in stream.content:
        field, _, value = line.decode().strip().partition(": ")
        if field == "data" and value and json.loads(value)["topic"] != "samples":
            changes.append(value)


async def undisturbed(changes: list[str], scenario: Callable[[], Awaitable[None]]) -> None:
    """Plays the scenario until it went by without any change: a host that another test left may go silent now."""

    async def calm() -> bool:
        await asyncio.sleep(SETTLE_S)
        before = len(changes)
        await scenario()
        return len(changes) == before

    await until(calm, "nothing but the scenario happens")


async def test_a_sample_is_asked_for_once_by_the_page_that_shows_it_and_by_no_other(
    site: Site, host: SimulatedAgent, admin: Visitor
) -> None:
    detail = f"/api/v1/machines/{host.machine_id}"
    _, overview = await tab(admin, "/")
    _, machines = await tab(admin, "/machines")
    page, machine = await tab(admin, f"/machines/{host.machine_id}")
    await expect(page.get_by_role("heading", name=host.name)).to_be_visible()

    async def scenario() -> None:
        for asked in (overview, machines, machine):
            asked.forget()
        await asyncio.sleep(QUIET_S)
        for ratio in SAMPLES:
            await host.sync(sample=measured(ratio))
            await expect(page.get_by_text(f"{ratio:.0%}".replace("%", " %"), exact=True)).to_be_visible()

    async with announced(site) as changes:
        began = time.monotonic()
        await undisturbed(changes, scenario)
        took = time.monotonic() - began

    assert overview.requests == []
    assert machines.requests == []
    assert machine.requests.count(f"GET {detail}") == len(SAMPLES)
    renewals = machine.requests.count(f"POST {detail}/watch")
    assert renewals <= math.ceil(took / WATCH_EVERY_S)
    assert len(machine.requests) == len(SAMPLES) + renewals


def measured(cpu_ratio: float) -> HostSample:
    return msgspec.structs.replace(simulated_sample(), cpu_ratio=cpu_ratio)


async def test_a_burst_of_samples_is_asked_for_once_a_second(host: SimulatedAgent, admin: Visitor) -> None:
    page, asked = await tab(admin, f"/machines/{host.machine_id}")
    await host.sync(sample=measured(0.55))
    await expect(page.get_by_text("55 %", exact=True)).to_be_visible()
    await asyncio.sleep(SETTLE_S)
    asked.forget()
    began = time.monotonic()
    for percent in range(60, 91):
        await host.sync(sample=measured(percent / 100))
        await asyncio.sleep(0.1)
    await expect(page.get_by_text("90 %", exact=True)).to_be_visible()
    took = time.monotonic() - began
    fetches = asked.requests.count(f"GET /api/v1/machines/{host.machine_id}")
    assert 2 <= fetches <= took + 1


async def test_a_machine_that_somebody_looks_at_measures_itself_often_and_its_page_follows(
    site: Site, admin: Visitor
) -> None:
    await site.until_offered()
    detail = f"/api/v1/machines/{site.machine['id']}"
    page, asked = await tab(admin, f"/machines/{site.machine['id']}")
    figures = page.locator("article.gpu").first
    await expect(figures).to_contain_text("°C")
    asked.forget()
    shown: set[str] = set()
    began = time.monotonic()
    while time.monotonic() - began < LOOK_S:
        shown.add(await figures.inner_text())
        await asyncio.sleep(0.2)
    took = time.monotonic() - began
    samples = took / WATCHED_SAMPLE_SECONDS + 1
    renewals = took / WATCH_EVERY_S + 1
    assert len(shown) >= 3, shown
    assert asked.requests.count(f"GET {detail}") <= samples
    assert len(asked.requests) <= samples + renewals, asked.requests
