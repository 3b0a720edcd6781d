"""A shell is where it was left: after the server, the agent or another window came between."""

import secrets

from playwright.async_api import expect

from e2e import steps
from e2e.site import Site, until
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


async def with_a_clipboard(member: Visitor, site: Site) -> None:
    await member.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.url)
    await put_on_clipboard(member, "nothing was copied")


async def put_on_clipboard(member: Visitor, text: str) -> None:
    await member.page.evaluate("text => navigator.clipboard.writeText(text)", text)


async def clipboard_holds(member: Visitor, text: str) -> None:
    async def held() -> bool:
        return await member.page.evaluate("navigator.clipboard.readText()") == text

    await until(held, f"the clipboard holds {text!r}")


async def drag_over(member: Visitor, first: str, last: str) -> None:
    """With the mouse, from the start of the line that is ``first`` to the right end of the one that is ``last``."""
    rows = member.page.locator('[data-testid="terminal"] .xterm-rows > div')
    start, end = rows.get_by_text(first, exact=True).first, rows.get_by_text(last, exact=True).first
    above, below = await start.bounding_box(), await end.bounding_box()
    assert above is not None
    assert below is not None
    mouse = member.page.mouse
    await mouse.move(above["x"] + 1, above["y"] + above["height"] / 2)
    await mouse.down()
    await mouse.move(below["x"] + below["width"] - 1, below["y"] + below["height"] / 2, steps=5)
    await mouse.up()


async def test_what_is_selected_is_copied_and_the_interrupt_still_works(site: Site, member: Visitor) -> None:
    mark = await with_a_mark(member, site)
    await with_a_clipboard(member, site)
    first, last = f"one-{mark} 你好，世界", f"two-{mark} größe ✓"
    await steps.type_line(member, 'printf "%s\\n" "one-$MARK 你好，世界" "two-$MARK größe ✓"')
    await steps.reads(member, last)
    await drag_over(member, first, last)
    await member.page.keyboard.press("Control+Shift+C")
    await clipboard_holds(member, f"{first}\n{last}")

    await drag_over(member, last, last)
    await member.page.keyboard.press("Control+C")
    await clipboard_holds(member, last)
    await steps.type_line(member, "echo waiting-$MARK; sleep 600")
    await steps.reads(member, f"waiting-{mark}")
    await member.page.keyboard.press("Control+C")  # nothing is selected any more
    await it_is_the_same_shell(member, mark)
    await clipboard_holds(member, last)


async def test_several_lines_are_pasted_as_they_are_and_run_only_when_told(
    site: Site, member: Visitor
) -> None:
    mark = await with_a_mark(member, site)
    await with_a_clipboard(member, site)
    lines = 'echo "first-$MARK 你好，世界"\necho "second-$MARK größe ✓"\necho "third-$MARK"\n'
    await put_on_clipboard(member, lines)
    await member.click("terminal")
    await member.page.keyboard.press("Control+Shift+V")
    for line in lines.splitlines():
        await steps.reads(member, line)
    await expect(member.seen("terminal")).not_to_contain_text(
        f"first-{mark}"
    )  # before the next was typed, else
    await member.page.keyboard.press("Enter")
    for output in (f"first-{mark} 你好，世界", f"second-{mark} größe ✓", f"third-{mark}"):
        await steps.reads(member, output)
    shown = await member.seen("terminal").inner_text()
    assert shown.index(lines.splitlines()[-1]) < shown.index(f"first-{mark}"), shown


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
