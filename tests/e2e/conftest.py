"""One platform and one Chromium for the whole suite; a window for each person of each test."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from e2e import steps
from e2e.fleet import silent_host
from e2e.site import Company, Site, running_site
from e2e.visitor import Visitor
from server_client import Client

Arrive = Callable[..., Awaitable[Visitor]]
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/e2e/" in str(item.path):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.stack)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site() -> AsyncIterator[Site]:
    async with running_site() as running:
        await silent_host(running)  # now, so that it is unreachable by the time the pictures are taken
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="session")
async def arrive(browser: Browser, site: Site) -> AsyncIterator[Arrive]:
    """``await arrive("name")``: a window of one's own. The test fails if anything unexpected went wrong in it."""
    async with AsyncExitStack() as windows:

        async def open_window(name: str = "visitor", **how: object) -> Visitor:
            visitor = await Visitor.arrive(browser, site.url, name, **how)  # type: ignore[arg-type]
            return await windows.enter_async_context(visitor)

        yield open_window


@pytest_asyncio.fixture(loop_scope="session")
async def admin(arrive: Arrive, site: Site) -> Visitor:
    """The operator, signed in."""
    return await steps.signed_in(await arrive("admin"), site.platform.admin_email, site.admin_password)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def leased(site: Site) -> AsyncIterator[Company]:
    """A company that has leased this host; afterwards the host is clean again."""
    await site.until_offered()
    company = await site.new_company("Helix Biosciences")
    allocation = await company.lease()
    yield company
    current = await site.admin.get(f"/allocations/{allocation['id']}")
    if current["state"] in {"active", "expiring"}:
        await site.admin.post(f"/allocations/{allocation['id']}/end", {"reason": "the test is over"})
    await site.until_offered()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def engineer(leased: Company) -> Client:
    return await leased.member()


@pytest_asyncio.fixture(loop_scope="session")
async def member(arrive: Arrive, engineer: Client) -> Visitor:
    """An engineer of the company that has leased this host, signed in."""
    return await steps.signed_in(await arrive("member"), engineer.user["email"], engineer.password)
