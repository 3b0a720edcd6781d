"""The main job, as people do it in the console: from a new customer to a lease that has ended."""

import asyncio
import hashlib
import re
import secrets
from pathlib import Path

from playwright.async_api import expect

from e2e import steps
from e2e.conftest import Arrive
from e2e.site import Site, until
from e2e.visitor import Visitor

PASSWORD = "quiet lantern orbit 7"
TASK = """\
import json, os, pathlib, time
for epoch in range(1000):
    print(f"epoch {epoch} loss {1 / (epoch + 1):.4f}", flush=True)
    if os.path.exists(GO):
        break
    time.sleep(0.05)
metrics = {"epochs": epoch, "note": "完成"}
pathlib.Path(os.environ["REMOTEGPU_OUTPUT_DIR"], "metrics.json").write_text(json.dumps(metrics))
print("training", "done")
"""
"""Trains until the test has seen enough: it is over once the file ``GO`` is there."""


async def test_from_a_new_customer_to_the_end_of_the_lease(
    site: Site, admin: Visitor, arrive: Arrive
) -> None:
    await site.until_offered()
    code = f"helix-{secrets.token_hex(3)}"
    email, machine = f"lin@{code}.example", site.machine["name"]

    await steps.create_customer(admin, code, f"Helix {code}")
    first_password = await steps.add_member(admin, email, "Lin Wei")
    await steps.lease(admin, machine, f"Helix {code}", "2030-01-31 12:00")
    row = admin.seen(f"allocation-row-{machine}").first
    await expect(row).to_contain_text("Active")
    await expect(row).to_contain_text("2030-01-31 12:00")

    member = await arrive("member", size=(1280, 800))
    await the_member_signs_in_and_must_choose_a_password(member, email, first_password)
    await the_member_works_in_a_terminal(member, machine)
    await the_member_runs_a_task(member, site.platform.layout.root.parent / "go")

    member.expects(
        r"^404 GET /api/v1/machines/[^/]+$"
    )  # its page asks once more, and hears that it is not there
    await steps.end_lease(admin, machine)
    await steps.terminal_is(member, "ended")
    await expect(member.seen("terminal-notice")).to_contain_text("Your access has ended")
    await expect(member.seen("terminal-notice")).to_contain_text("ended by an admin")
    await the_host_is_cleaned_and_offered_again(admin, machine)
    await the_trail_is_whole(admin, email)


async def the_member_signs_in_and_must_choose_a_password(
    member: Visitor, email: str, first_password: str
) -> None:
    member.expects(r"^422 POST /api/v1/auth/password$")
    await steps.sign_in(member, email, first_password)
    await steps.choose_password(member, "password12")
    await expect(member.page.locator(".below.error").first).to_contain_text("common password")
    await steps.choose_password(member, PASSWORD)
    await expect(member.seen("nav-machines")).to_be_visible()
    await expect(member.seen("nav-customers")).to_have_count(0)


async def the_member_works_in_a_terminal(member: Visitor, machine: str) -> None:
    await steps.open_terminal(member, machine)
    await steps.type_line(member, 'MARK=kept-$((6*7)); echo "<$MARK> 你好, größe ✓"')
    await steps.reads(member, "<kept-42> 你好, größe ✓")
    await the_shell_knows_its_size(member)
    await member.page.set_viewport_size({"width": 1040, "height": 560})
    await the_shell_knows_its_size(member)
    await member.page.set_viewport_size({"width": 1280, "height": 800})
    await member.page.reload()
    await steps.terminal_is(member, "open")
    await steps.reads(member, "<kept-42>")  # what was on the screen is there again
    await steps.type_line(member, "echo again-$MARK")
    await steps.reads(member, "again-kept-42")


async def the_shell_knows_its_size(member: Visitor) -> None:
    """The window's change reaches the page, and then the shell, a moment later."""
    rows = member.page.locator('[data-testid="terminal"] .xterm-rows > div')

    async def agree() -> bool:
        nonce = secrets.token_hex(3)
        await steps.type_line(member, f'echo "{nonce}:"$(stty size | cut -d" " -f1).')
        told = member.page.get_by_text(re.compile(rf"^{nonce}:\d+\.$"))
        await expect(told.first).to_be_visible()
        return (await told.first.inner_text()).strip() == f"{nonce}:{await rows.count()}."

    await until(agree, "the shell has as many rows as the screen")


async def the_member_runs_a_task(member: Visitor, go: Path) -> None:
    """In a second tab, as one would, so that the terminal stays open."""
    terminal, member.page = member.page, await member.context.new_page()
    await member.go("/tasks/new")
    await member.fill("task-name", "train")
    await member.seen("task-kind").get_by_text("Python").click()
    await member.fill("task-command", TASK.replace("GO", repr(str(go))))
    await member.click("task-submit")
    await expect(member.seen("task-log")).to_contain_text("epoch 3 loss 0.2500")
    await expect(member.seen("task-state").first).to_contain_text("Running")
    await asyncio.to_thread(go.touch)
    await expect(member.seen("task-log")).to_contain_text("training done")
    await expect(member.seen("task-state").first).to_contain_text("Succeeded")
    await the_artifact_is_what_the_task_wrote(member)
    await member.page.close()
    member.page = terminal


async def the_artifact_is_what_the_task_wrote(member: Visitor) -> None:
    row = member.seen("artifact-row").filter(has_text="metrics.json")
    checksum = await row.get_by_title("SHA-256").get_attribute("title")
    async with member.page.expect_download() as downloading:
        await row.get_by_role("button", name="Download").click()
    download = await downloading.value
    assert download.suggested_filename == "metrics.json"
    content = await asyncio.to_thread(Path(await download.path()).read_bytes)
    assert '"note": "\\u5b8c\\u6210"' in content.decode()
    assert checksum == f"SHA-256 {hashlib.sha256(content).hexdigest()}"


async def the_host_is_cleaned_and_offered_again(admin: Visitor, machine: str) -> None:
    await admin.seen(f"allocation-row-{machine}").first.click()
    for step in ("revoke_access", "stop_tasks", "close_sessions", "clean_account", "check_machine"):
        await expect(admin.seen(f"step-{step}")).to_contain_text("Done", timeout=60_000)
    await admin.click("nav-machines")
    await expect(admin.seen(f"machine-row-{machine}")).to_contain_text("Online")


async def the_trail_is_whole(admin: Visitor, actor: str) -> None:
    await admin.click("nav-audit")
    await expect(admin.seen("audit-row").filter(has_text=actor).first).to_be_visible()
    await admin.click("verify-audit")
    await expect(admin.seen("audit-verdict")).to_contain_text("Intact")
