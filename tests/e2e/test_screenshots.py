"""Every page as a picture: both themes, both languages, two widths, into ``artifacts/screenshots/``.

With ``REMOTEGPU_UPDATE_SCREENSHOTS=1`` the few pictures of the documentation are made anew as well.
"""

import asyncio
import itertools
import os
import secrets
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import asyncssh
import pytest
import pytest_asyncio
from playwright.async_api import expect

import remotegpu.local.example
from e2e import steps
from e2e.conftest import Arrive
from e2e.fleet import Fleet, an_hour_of_figures, running_fleet
from e2e.site import ROOT, Site, until
from e2e.visitor import Visitor
from server_client import Client

PICTURES = ROOT / "artifacts/screenshots"
Look = tuple[str, tuple[int, int], Literal["light", "dark"]]
WIDE, NARROW = (1440, 900), (1024, 768)
LOOKS: tuple[Look, ...] = tuple(itertools.product(("en", "zh-CN"), (WIDE, NARROW), ("light", "dark")))
FEW_LOOKS: tuple[Look, ...] = (
    ("en", WIDE, "light"),
    ("en", NARROW, "dark"),
    ("zh-CN", WIDE, "dark"),
    ("zh-CN", NARROW, "light"),
)
"""Each theme with each width and each language: enough for dialogs and for variants of a page."""
TOO_WIDE = """() => [document.documentElement, ...document.querySelectorAll('main, .table-scroll, .el-dialog')]
  .filter(box => box.scrollWidth > box.clientWidth + 1).map(box => `${box.className}: ${box.scrollWidth}`)"""
"""What would have to be scrolled sideways."""
SETTLED = """() => document.fonts.ready.then(() => new Promise(done =>
  requestAnimationFrame(() => requestAnimationFrame(() => done(document.querySelectorAll('.bone').length === 0)))))"""
IN_DOCS = {
    "machines": "light",
    "machine": "dark",
    "terminal": "dark",
    "task": "light",
    "overview": "light",
}
UPDATES_DOCS = os.environ.get("REMOTEGPU_UPDATE_SCREENSHOTS") == "1"
LARGEST_IN_DOCS = 250 * 1024


@dataclass(frozen=True)
class Shot:
    """``shows``: text or test id that must be there before the picture is taken."""

    name: str
    path: str
    shows: str
    looks: tuple[Look, ...] = LOOKS


async def photograph(visitor: Visitor, name: str, looks: Iterable[Look] = LOOKS) -> None:
    """The page as it is. Theme and language change in place, as for a person who switches."""
    page = visitor.page
    for locale, (width, height), theme in looks:
        if await page.locator("html").get_attribute("lang") != locale:
            await visitor.seen("locale-toggle").dispatch_event("click")  # also below a dialog
        await page.set_viewport_size({"width": width, "height": height})
        await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        await page.wait_for_function(SETTLED)
        assert await page.evaluate(TOO_WIDE) == [], f"{name} at {width} px, {locale}"
        picture = PICTURES / f"{name}-{theme}-{width}-{locale}.png"
        await page.screenshot(path=picture, animations="disabled")
        if UPDATES_DOCS and IN_DOCS.get(name) == theme and (width, locale) == (1440, "en"):
            await keep_for_docs(picture, name, theme)
    if await page.locator("html").get_attribute("lang") != "en":
        await visitor.seen("locale-toggle").dispatch_event("click")


async def keep_for_docs(picture: Path, name: str, theme: str) -> None:
    content = await asyncio.to_thread(picture.read_bytes)
    assert len(content) <= LARGEST_IN_DOCS, f"{name}: {len(content)} bytes"
    await asyncio.to_thread((ROOT / f"docs/screenshots/{name}-{theme}.png").write_bytes, content)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def fleet(site: Site) -> AsyncIterator[Fleet]:
    async with running_fleet(site) as running:
        await asyncio.to_thread(an_hour_of_figures, site, running)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def trained(site: Site, engineer: Client) -> str:
    """A task of the engineer that has run on the real host: the shipped example. Its id."""
    source = Path(remotegpu.local.example.__file__).with_name("train.py")
    body = {
        "machine_id": site.machine["id"],
        "name": "train spirals",
        "kind": "python",
        "command": await asyncio.to_thread(source.read_text),
        "args": ["--epochs", "300"],
        "gpus": 1,
    }
    task = str((await engineer.post("/tasks", body, expect=201))["id"])

    async def finished() -> bool:
        return bool((await engineer.get(f"/tasks/{task}"))["state"] == "succeeded")

    await until(finished, "the example task has succeeded")
    return task


async def test_pages_of_the_operator(site: Site, fleet: Fleet, trained: str, admin: Visitor) -> None:
    ended = await an_ended_lease(site, fleet)
    await visit(
        admin,
        [
            Shot("machine", f"/machines/{fleet.machines['hgx-h100-01']}", "text=GPU 7"),
            Shot("machine-real", f"/machines/{site.machine['id']}", "text=GPU 1", FEW_LOOKS),
            Shot("allocations", "/allocations", "text=hgx-h100-02"),
            Shot("allocation-ended", f"/allocations/{ended}", "[data-testid=step-check_machine]"),
            Shot("tasks", "/tasks", "text=finetune reranker"),
            Shot("task", f"/tasks/{trained}", "[data-testid=artifact-row]"),
            Shot("sessions", "/sessions", "tbody"),
            Shot("customers", "/customers", "text=Northwind"),
            Shot("customer", f"/customers/{fleet.companies['Northwind'].id}", "text=Ada Okafor"),
            Shot("join-tokens", "/join-tokens", "text=rack 4"),
            Shot("audit", "/audit", "[data-testid=audit-row]"),
            Shot("not-found", "/no/such/page", "text=There is no such page", FEW_LOOKS),
            Shot(
                "task-failed",
                f"/tasks/{await fleet.task('finetune reranker')}",
                "text=OutOfMemoryError",
                FEW_LOOKS,
            ),
            Shot(
                "task-running",
                f"/tasks/{await fleet.task('pretrain llama-8b')}",
                "text=step 12020",
                FEW_LOOKS,
            ),
        ],
    )
    await fleet.one_is_silent()
    await visit(
        admin,
        [
            Shot("overview", "/", "text=pretrain llama-8b"),
            Shot("machines", "/machines", "text=hgx-h100-04"),
        ],
    )


async def an_ended_lease(site: Site, fleet: Fleet) -> str:
    company = fleet.companies["Northwind"]
    allocation = str((await company.lease(fleet.machines["hgx-h100-03"], days=2))["id"])
    await site.admin.post(f"/allocations/{allocation}/end", {"reason": "the project is over"})

    async def ended() -> bool:
        return bool((await site.admin.get(f"/allocations/{allocation}"))["state"] == "ended")

    await until(ended, "the lease has ended")
    return allocation


async def visit(visitor: Visitor, shots: list[Shot]) -> None:
    for shot in shots:
        await visitor.go(shot.path)
        await expect(visitor.page.locator(shot.shows).first).to_be_visible()
        await photograph(visitor, shot.name, shot.looks)


async def test_dialogs_of_the_operator(fleet: Fleet, admin: Visitor) -> None:
    for name, path, opener, inside in (
        ("dialog-lease", "/allocations", "create-allocation", "allocation-submit"),
        ("dialog-customer", "/customers", "create-customer", "customer-submit"),
        ("dialog-member", f"/customers/{fleet.companies['Orbit'].id}", "add-member", "member-submit"),
        ("dialog-join-token", "/join-tokens", "create-join-token", "join-token-submit"),
        ("dialog-end-lease", "/allocations", "end-allocation", "confirm-input"),
        ("dialog-audit-entry", "/audit", "audit-row", ""),
    ):
        await admin.go(path)
        await admin.click(opener)
        await expect(admin.seen(inside) if inside else admin.page.get_by_role("dialog").first).to_be_visible()
        await photograph(admin, name, FEW_LOOKS)


@pytest.mark.usefixtures("fleet", "trained")
async def test_pages_of_a_customer(site: Site, engineer: Client, member: Visitor) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519", comment="mei@laptop")
    public = key.export_public_key().decode()
    await engineer.post("/auth/ssh-keys", {"name": "laptop", "public_key": public}, expect=201)
    await engineer.post("/auth/tokens", {"name": "CI", "expires_in_days": 90}, expect=201)
    await visit(
        member,
        [
            Shot("member-overview", "/", "text=train spirals"),
            Shot("member-machines", "/machines", f"text={site.machine['name']}", FEW_LOOKS),
            Shot("member-machine", f"/machines/{site.machine['id']}", "text=GPU 1", FEW_LOOKS),
            Shot("task-new", "/tasks/new", "[data-testid=task-submit]"),
            Shot("ssh-keys", "/ssh-keys", "text=laptop"),
            Shot("tokens", "/tokens", "text=CI"),
            Shot("change-password", "/change-password", "[data-testid=change-submit]"),
        ],
    )
    await member.go("/")
    await steps.open_terminal(member, site.machine["name"])
    await a_few_commands(member)
    await photograph(member, "terminal")


async def a_few_commands(member: Visitor) -> None:
    for line in ("uname -sr", "ls -la ~ | head -5", "printf '\\e[32m%s\\e[0m %s\\n' ok 你好"):
        await steps.type_line(member, line)
    nonce = secrets.token_hex(2)
    await steps.type_line(member, f"python3 -c 'print(6 * 7)' # {nonce}")
    await steps.reads(member, f"{nonce}42")


async def test_pages_of_an_owner_and_of_a_newcomer(fleet: Fleet, arrive: Arrive) -> None:
    owner = fleet.owners["Northwind"]
    visitor = await steps.signed_in(await arrive("owner"), owner.user["email"], owner.password)
    await visit(visitor, [Shot("owner-members", "/members", "text=Ada Okafor", FEW_LOOKS)])
    newcomer = await arrive("newcomer")
    await visit(newcomer, [Shot("sign-in", "/sign-in", "[data-testid=login-submit]")])
    await visit(newcomer, [Shot("api-docs", "/api-docs", "code:has-text('/api/v1/agent/sync')")])


@pytest.mark.parametrize(("name", "theme"), IN_DOCS.items())
def test_the_pictures_of_the_documentation_are_there_and_small(name: str, theme: str) -> None:
    picture = ROOT / f"docs/screenshots/{name}-{theme}.png"
    assert 0 < picture.stat().st_size <= LARGEST_IN_DOCS
