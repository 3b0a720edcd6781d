"""Signing in: wrong passwords, the lock, the keyboard alone, both languages and both themes."""

from playwright.async_api import expect

from e2e import steps
from e2e.conftest import Arrive
from e2e.site import Site

WRONG = r"^401 POST /api/v1/auth/login$"
LOCKED = r"^429 POST /api/v1/auth/login$"


async def test_wrong_passwords_are_told_and_five_of_them_lock_for_a_while(site: Site, arrive: Arrive) -> None:
    person = await (await site.new_company()).member()
    visitor = await arrive()
    visitor.expects(WRONG, LOCKED)
    await visitor.go("/machines")
    for attempt in range(5):
        await steps.enter_credentials(visitor, person.user["email"], f"wrong {attempt}")
        await expect(visitor.page.get_by_role("alert")).to_contain_text("E-mail or password is wrong")
        await expect(visitor.seen("login-submit")).to_be_enabled()
    await steps.enter_credentials(visitor, person.user["email"], person.password)
    await expect(visitor.seen("login-locked")).to_be_visible()
    await expect(visitor.seen("login-submit")).to_be_disabled()
    before = await visitor.seen("login-locked").inner_text()
    await expect(visitor.seen("login-locked")).not_to_have_text(before)  # it counts down
    await visitor.fill("login-email", "somebody.else@example.com")
    await expect(visitor.seen("login-submit")).to_be_enabled()  # the lock is of that account
    await expect(visitor.page).to_have_url(f"{site.url}/sign-in?next=/machines")


async def test_the_keyboard_alone_is_enough(site: Site, arrive: Arrive) -> None:
    person = await (await site.new_company()).member()
    visitor = await arrive()
    await visitor.go("/machines")
    await expect(visitor.seen("login-email")).to_be_focused()
    keyboard = visitor.page.keyboard
    await keyboard.type(person.user["email"])
    await keyboard.press("Tab")
    await keyboard.type(person.password)
    await keyboard.press("Enter")
    await expect(visitor.page).to_have_url(f"{site.url}/machines")
    await keyboard.press("Tab")
    await expect(visitor.page.get_by_text("Skip to content")).to_be_focused()
    await keyboard.press("Tab")
    await keyboard.press("Tab")
    await expect(visitor.seen("nav-overview")).to_be_focused()
    await keyboard.press("Enter")
    await expect(visitor.page).to_have_url(f"{site.url}/")


async def test_the_page_follows_the_browsers_language_and_theme_until_the_person_chooses(
    site: Site, arrive: Arrive
) -> None:
    visitor = await arrive(locale="zh-CN", scheme="dark")
    html = visitor.page.locator("html")
    await visitor.go("/sign-in")
    await expect(html).to_have_attribute("lang", "zh-CN")
    await expect(html).to_have_class("dark")
    await expect(visitor.seen("login-submit")).to_have_text("登录")

    await visitor.click("theme-toggle")
    await expect(html).not_to_have_class("dark")
    await visitor.click("locale-toggle")
    await expect(visitor.seen("login-submit")).to_have_text("Sign in")

    await steps.signed_in(visitor, site.platform.admin_email, site.admin_password)
    await expect(visitor.seen("nav-machines")).to_have_text("Machines")
    await expect(html).not_to_have_class("dark")
    await visitor.click("locale-toggle")
    await expect(visitor.seen("nav-machines")).to_have_text("机器")
    await visitor.page.reload()
    await expect(visitor.seen("nav-machines")).to_have_text("机器")


async def test_signing_out_ends_the_session_in_every_tab(site: Site, arrive: Arrive) -> None:
    person = await (await site.new_company()).member()
    visitor = await steps.signed_in(await arrive(), person.user["email"], person.password)
    await visitor.click("logout")
    await expect(visitor.seen("login-email")).to_be_visible()
    await visitor.go("/machines")
    await expect(visitor.seen("login-email")).to_be_visible()


async def test_first_visits_and_reloads_are_no_events_for_the_audit_trail(site: Site, arrive: Arrive) -> None:
    person = await (await site.new_company()).member()
    visitor = await arrive()
    before = (await site.admin.get("/audit"))["total"]
    await visitor.go("/sign-in")
    await expect(visitor.seen("login-submit")).to_be_visible()
    await steps.signed_in(visitor, person.user["email"], person.password)
    await visitor.page.reload()
    await expect(visitor.seen("nav-overview")).to_be_visible()
    newest = (await site.admin.get("/audit", params={"page_size": "5"}))["items"]
    assert (await site.admin.get("/audit"))["total"] == before + 1
    assert (newest[0]["action"], newest[0]["actor_name"]) == ("auth.login", person.user["email"])
