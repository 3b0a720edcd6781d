"""``remotegpu backups test-alerts``: whether the container reaches those whom it has to tell."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from remotegpu.cli.backups.shared import FAILED, Json, app, guarded
from remotegpu.cli.output import print_json, print_table

if TYPE_CHECKING:
    from remotegpu.site.backups.settings import Settings
    from remotegpu.site.backups.trying import Tried


@app.command(name="test-alerts")
def try_channels(
    channel: Annotated[str | None, Parameter(help="Its name; without one, all.")] = None,
    /,
    *,
    json_output: Json = False,
) -> int:
    """Send a test message through the site's alert channels, and say how it went."""

    def work(settings: "Settings") -> int:
        from remotegpu.kit.channels import sending
        from remotegpu.site.backups import schedule, trying

        channels = trying.chosen(settings.alerts.channels, channel)
        return show(
            trying.try_each(channels, schedule.speaker_of(settings), sending.send), json_output=json_output
        )

    return guarded(work, json_output=json_output)


def show(found: "Sequence[Tried]", *, json_output: bool) -> int:
    """Exit status: whether everybody took it."""
    is_well = not any(one.error for one in found)
    if json_output:
        print_json({"ok": is_well, "channels": found})
    else:
        rows = [
            [one.channel, one.kind, "refused" if one.error else "taken", f"{one.seconds:.1f} s", one.error]
            for one in found
        ]
        print_table(("CHANNEL", "KIND", "MESSAGE", "TOOK", "WHY"), rows, empty="no channels")
    return 0 if is_well else FAILED
