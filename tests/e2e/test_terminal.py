"""A shell is where it was left: after the server, the agent or another window came between."""

import secrets

from playwright.async_api import expect

from e2e import steps
from e2e.site import Site
from e2e.visitor import Visitor

CONNECTION_LOST = (r"^failed .* net::ERR_", r"^console: WebSocket connection to ", r"^50[023] ")
"""What a page says while the server is away."""


async def with_a_mark(member: Visitor, site: Site) -> str:
    """Opens a terminal and leaves something in the shell by which it is known again."""
    await steps.open_terminal(member, site.machine["name"])
    mark = secrets.token_hex(4)
    await steps.type_line(member, f"MARK={mark}; echo set-$MARK")
    await steps.reads(member, f"set-{mark}")
    return mark


async def it_is_the_same_shell(member: Visitor, mark: str) -> None:
    nonce = secrets.token_hex(3)
    await steps.type_line(member, f"echo {nonce}-$MARK")
    await steps.reads(member, f"{nonce}-{mark}")


async def test_a_killed_server_comes_back_and_the_terminal_finds_its_shell(
    site: Site, member: Visitor
) -> None:
    member.expects(*CONNECTION_LOST)
    mark = await with_a_mark(member, site)
    site.kill("server")
    await steps.terminal_is(member, "waiting")
    await expect(member.seen("live-status")).to_have_attribute("data-status", "reconnecting")
    await steps.terminal_is(member, "open")
    await expect(member.seen("terminal-status")).to_contain_text("same shell")
    await it_is_the_same_shell(member, mark)
    await expect(member.seen("live-status")).to_have_attribute("data-status", "live")


async def test_a_killed_agent_comes_back_and_the_terminal_finds_its_shell(
    site: Site, member: Visitor
) -> None:
    mark = await with_a_mark(member, site)
    site.kill("agent")
    await steps.terminal_is(member, "waiting")
    await steps.terminal_is(member, "open")
    await expect(member.seen("terminal-status")).to_contain_text("same shell")
    await it_is_the_same_shell(member, mark)


async def test_two_windows_do_not_take_a_shell_from_each_other_for_ever(site: Site, member: Visitor) -> None:
    mark = await with_a_mark(member, site)
    first, second = member.page, await member.context.new_page()
    shells = await first.evaluate("JSON.stringify(sessionStorage)")
    await second.add_init_script(f"Object.assign(sessionStorage, {shells})")  # as "duplicate tab" does
    member.page = second
    await member.go(f"/machines/{site.machine['id']}/terminal")
    await steps.terminal_is(member, "open")
    await it_is_the_same_shell(member, mark)

    member.page = first
    await steps.terminal_is(member, "ended")
    await expect(member.seen("terminal-notice")).to_contain_text("opened in another window")
    member.page = second
    await it_is_the_same_shell(member, mark)  # nobody took it back
    await expect(member.seen("terminal-status")).to_have_attribute("data-state", "open")

    member.page = first
    await member.click("terminal-again")  # unless the person wants it
    await steps.terminal_is(member, "open")
    await it_is_the_same_shell(member, mark)
    member.page = second
    await steps.terminal_is(member, "ended")


async def test_a_shell_that_exits_says_with_what_and_a_new_one_takes_its_place(
    site: Site, member: Visitor
) -> None:
    mark = await with_a_mark(member, site)
    await steps.type_line(member, "exit 7")
    await steps.terminal_is(member, "ended")
    await expect(member.seen("terminal-notice")).to_contain_text("ended with code 7")
    await member.click("terminal-again")
    await steps.terminal_is(member, "open")
    await steps.type_line(member, 'echo "now ${MARK:-empty}"')
    await steps.reads(member, "now empty")
    await expect(member.seen("terminal")).not_to_contain_text(mark)
