"""Whether somebody changes the site now, and whether the last change came to its end."""

from datetime import datetime

from remotegpu.site.journal import Run
from remotegpu.site.status.facts import Holder
from remotegpu.site.status.items import Item
from remotegpu.site.status.judging.wording import length

SHOWN_CHARACTERS = 200


def lock(holder: Holder | None, now: datetime) -> Item:
    if holder is None:
        return Item(name="lock", level="ok", found="nobody changes the site")
    since = f" for {length(now - holder.since)}" if holder.since else ""
    process = f", process {holder.pid}" if holder.pid else ""
    return Item(
        name="lock",
        level="warning",
        found=f"{holder.why or 'a change'} by {holder.who or 'somebody'}{since}{process}",
        remedy="Wait until it has ended; what is below may change meanwhile.",
    )


def journal(run: Run | None, *, is_held: bool) -> Item:
    """``is_held``: somebody is at work, so an open run is theirs and was not cut short."""
    if run is None:
        return Item(name="journal", level="ok", found="nothing was done yet")
    last = run.entries[-1]
    if run.is_over:
        return _ended(run)
    if is_held:
        return Item(name="journal", level="ok", found=f"{run.what} {run.run} is at {last.step}")
    where = f"{last.step}, which was {last.state} at {last.at:%Y-%m-%d %H:%M} UTC"
    return Item(
        name="journal",
        level="problem",
        found=f"{run.what} {run.run} was cut short at {where}",
        remedy=_resume(run),
    )


def _ended(run: Run) -> Item:
    last = run.entries[-1]
    said = f"the last {run.what}, {run.run}, ended on {last.at:%Y-%m-%d %H:%M} UTC"
    if last.state == "done":
        return Item(name="journal", level="ok", found=f"{said}: done")
    why = (last.detail.splitlines() or ["it did not say why"])[0].rstrip(":")[:SHOWN_CHARACTERS]
    remedy = f"What served before serves on. Mend that, then: remotegpu site {run.what}"
    return Item(name="journal", level="warning", found=f"{said}: failed: {why}", remedy=remedy)


def _resume(run: Run) -> str:
    if run.what == "restore":
        return "Run `remotegpu site restore` again: it goes on where it was."
    return f"Run `remotegpu site {run.what}` again: it goes on where it was; any other deployment takes it back first."
