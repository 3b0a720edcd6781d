"""Everybody sees what is theirs, in the side bar and by address."""

import pytest
from playwright.async_api import expect

from e2e import steps
from e2e.conftest import Arrive
from e2e.site import Company, Site
from e2e.visitor import Visitor

ADMIN_ONLY = ["customers", "join-tokens", "audit"]
COMMON = ["overview", "machines", "allocations", "tasks", "sessions", "ssh-keys", "tokens"]


@pytest.mark.parametrize(
    ("role", "more"), [("customer_owner", ["members"]), ("customer_member", list[str]())]
)
async def test_customers_are_shown_their_own_and_nothing_of_the_operator(
    site: Site, arrive: Arrive, leased: Company, role: str, more: list[str]
) -> None:
    person = await leased.member(role)
    stranger = await site.new_company()
    visitor = await steps.signed_in(await arrive(role), person.user["email"], person.password)
    shown = await visitor.page.get_by_role("navigation", name="Pages").get_by_role("link").all()
    ids = [await link.get_attribute("data-testid") for link in shown]
    assert sorted(i.removeprefix("nav-") for i in ids if i) == sorted(COMMON + more)

    for name in ADMIN_ONLY:
        await visitor.go(f"/{name}")
        await expect(visitor.page).to_have_url(f"{site.url}/")
    await visitor.go(f"/customers/{stranger.id}")
    await expect(visitor.page).to_have_url(f"{site.url}/")
    await they_see_their_machine_and_no_operations(visitor, site)
    await expect(visitor.page.get_by_text(stranger.name)).to_have_count(0)


async def they_see_their_machine_and_no_operations(visitor: Visitor, site: Site) -> None:
    await visitor.click("nav-machines")
    await expect(visitor.page.locator("tbody tr")).to_have_count(1)
    await visitor.click(f"machine-row-{site.machine['name']}")
    await expect(visitor.seen("open-terminal")).to_be_visible()
    await expect(visitor.seen("maintenance-switch")).to_have_count(0)
    await visitor.click("nav-allocations")
    await expect(visitor.seen(f"allocation-row-{site.machine['name']}")).to_have_count(1)
    await expect(visitor.seen("create-allocation")).to_have_count(0)
    await expect(visitor.seen("end-allocation")).to_have_count(0)


async def test_somebody_elses_machine_is_not_there(site: Site, arrive: Arrive, leased: Company) -> None:
    assert leased.id
    person = await (await site.new_company()).member()
    visitor = await steps.signed_in(await arrive("stranger"), person.user["email"], person.password)
    visitor.expects(r"^404 GET /api/v1/machines/", r"^404 POST /api/v1/machines/[^/]+/terminal-ticket$")
    await visitor.go(f"/machines/{site.machine['id']}")
    await expect(visitor.page.get_by_text("This does not exist, or is not yours to see")).to_be_visible()
    await visitor.go(f"/machines/{site.machine['id']}/terminal")
    await steps.terminal_is(visitor, "ended")
    await visitor.go("/machines")
    await expect(visitor.page.locator("tbody tr")).to_have_count(0)
