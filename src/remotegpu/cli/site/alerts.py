"""``remotegpu site alerts list | test``: whom the site tells of failures, and whether they hear it."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from remotegpu.cli.output import print_json, print_table, show_age
from remotegpu.cli.site.shared import DEFAULT, UNUSABLE, ConfigPath, Json, failed, guarded

if TYPE_CHECKING:
    from remotegpu.site.place import Place
    from remotegpu.site.status.facts import AlertChannel

app = App(
    name="alerts", help="Whom the site tells of failures, and whether they hear it.", help_format="plaintext"
)


@app.command(name="list")
def list_channels(*, config: ConfigPath = DEFAULT, json_output: Json = False) -> int:
    """List the alert channels: what each took, what waits for it, and why it refused. Never a URL or secret."""

    def act(place: "Place") -> int:
        from remotegpu.site.status.facts import Unknown
        from remotegpu.site.status.gathering import alerts

        found = alerts.look(place)
        if isinstance(found, Unknown):
            return failed(PermissionError(f"{found.why}. {found.remedy}"), json_output=json_output)
        if json_output:
            print_json(found)
            return 0
        print_table(
            ("CHANNEL", "KIND", "TAKEN", "LAST", "WAITING", "GIVEN UP", "REFUSED WITH"),
            [_row(one) for one in found],
            empty="no channels; name one in alerts.channels of remotegpu.yaml",
        )
        return 0

    return guarded(config, act, json_output=json_output)


def _row(one: "AlertChannel") -> list[str]:
    last = show_age(one.last_sent_at.isoformat() if one.last_sent_at else None)
    return [one.name, one.kind, str(one.sent), last, str(one.waiting), str(one.given_up), one.error or "-"]


@app.command(name="test")
def try_channels(
    channel: Annotated[str | None, Parameter(help="Its name; without one, all.")] = None,
    /,
    *,
    config: ConfigPath = DEFAULT,
    from_container: Annotated[
        bool,
        Parameter(negative=(), help="Send from the backup container, which sends the alerts of backups."),
    ] = False,
    json_output: Json = False,
) -> int:
    """Send a test message through the alert channels, and say of each how it went.

    From the node, with the files that remotegpu.yaml names; it needs no deployment. Exit status: 0 everybody took it,
    1 somebody did not, 2 there is no such channel.
    """
    if from_container:
        from remotegpu.cli.site.data import in_container

        return in_container(config, ("test-alerts", *([channel] if channel else [])), json_output=json_output)

    def act(place: "Place") -> int:
        from remotegpu.cli.backups.alerts import show
        from remotegpu.site.backups.errors import UsageError
        from remotegpu.site.verbs import alerts

        try:
            return show(alerts.try_each(place, channel), json_output=json_output)
        except UsageError as error:
            return failed(error, json_output=json_output, status=UNUSABLE)

    return guarded(config, act, json_output=json_output)
