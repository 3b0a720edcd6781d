"""What people do in the console, in their words."""

from playwright.async_api import expect

from e2e.visitor import Visitor


async def sign_in(visitor: Visitor, email: str, password: str) -> None:
    """Type it and press the button; where that leads is the caller's business."""
    await visitor.go("/sign-in")
    await enter_credentials(visitor, email, password)


async def enter_credentials(visitor: Visitor, email: str, password: str) -> None:
    await visitor.fill("login-email", email)
    await visitor.fill("login-password", password)
    await visitor.click("login-submit")


async def signed_in(visitor: Visitor, email: str, password: str) -> Visitor:
    """Signed in, on the overview."""
    await sign_in(visitor, email, password)
    await expect(visitor.seen("nav-overview")).to_be_visible()
    return visitor


async def create_customer(admin: Visitor, code: str, name: str) -> None:
    """Ends on the new customer's page."""
    await admin.click("nav-customers")
    await admin.click("create-customer")
    await admin.fill("customer-code", code)
    await admin.fill("customer-name", name)
    await admin.click("customer-submit")
    await admin.click(f"customer-row-{code}")


async def add_member(admin: Visitor, email: str, name: str) -> str:
    """On a customer's page. Returns the first password, which is shown once."""
    await admin.click("add-member")
    await admin.fill("member-email", email)
    await admin.fill("member-name", name)
    await admin.click("member-submit")
    password = await admin.seen("initial-password").inner_text()
    await admin.click("initial-password-close")
    await expect(admin.seen(f"member-row-{email}")).to_be_visible()
    return password.strip()


async def lease(admin: Visitor, machine: str, customer: str, until: str) -> None:
    """``until``: as typed, ``2030-01-31 12:00``."""
    await admin.click("nav-allocations")
    await admin.click("create-allocation")
    await admin.click("allocation-machine")
    await admin.click(f"option-{machine}")
    await admin.click("allocation-customer")
    await admin.page.keyboard.type(customer)
    await admin.click(f"option-{customer}")
    await admin.fill("allocation-end", until)
    await admin.page.keyboard.press("Enter")
    await admin.click("allocation-submit")


async def choose_password(visitor: Visitor, password: str) -> None:
    await visitor.fill("new-password", password)
    await visitor.fill("confirm-password", password)
    await visitor.click("change-submit")


async def open_terminal(member: Visitor, machine: str) -> None:
    await member.click("nav-machines")
    await member.click(f"machine-row-{machine}")
    await member.click("open-terminal")
    await terminal_is(member, "open")


async def terminal_is(member: Visitor, state: str, timeout_ms: int = 60_000) -> None:
    await expect(member.seen("terminal-status")).to_have_attribute("data-state", state, timeout=timeout_ms)


async def type_line(member: Visitor, line: str) -> None:
    await member.click("terminal")
    await member.page.keyboard.type(line)
    await member.page.keyboard.press("Enter")


async def reads(member: Visitor, text: str, timeout_ms: int = 30_000) -> None:
    """Sees ``text`` in the terminal. Let the shell put it together, else the typed line itself is read."""
    await expect(member.seen("terminal")).to_contain_text(text, timeout=timeout_ms)


async def end_lease(admin: Visitor, machine: str) -> None:
    """Ends the machine's lease from the list, by typing its name."""
    await admin.click("nav-allocations")
    row = admin.page.get_by_test_id(f"allocation-row-{machine}").filter(
        has=admin.page.get_by_test_id("end-allocation")
    )
    await row.first.get_by_test_id("end-allocation").click()
    await admin.fill("confirm-input", machine)
    await admin.click("confirm-submit")
