"""``remotegpu site status``: whether the site is well, and what to do when it is not."""

import sys
from typing import TYPE_CHECKING

import msgspec
from cyclopts import App

from remotegpu.cli.output import print_json, print_line
from remotegpu.cli.site.shared import DEFAULT, FAILED, ConfigPath, Json, guarded

if TYPE_CHECKING:
    from remotegpu.site.place import Place
    from remotegpu.site.status.items import Report

STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red", "unknown": "magenta"}
PIPED_WIDTH = 10_000
"""Nothing is wrapped for a program that reads it."""


def status(*, config: ConfigPath = DEFAULT, json_output: Json = False) -> int:
    """Say whether the site is well; if not, what is wrong and what to do. Looks only.

    The containers, the release and its configuration, the front door and its certificate, disks, backups and drills,
    migrations, secrets, versions. What could not be looked at counts as not well.

    Exit status: 0 well (warnings included), 1 not well, 2 the file cannot be used.
    """

    def act(place: "Place") -> int:
        from remotegpu.site.verbs.status import status as look

        report = look(place)
        if json_output:
            print_json(as_json(report))
        else:
            show(report)
        return 0 if report.is_well else FAILED

    return guarded(config, act, json_output=json_output)


def as_json(report: "Report") -> dict[str, object]:
    return {
        "ok": report.is_well,
        "headline": report.headline,
        "site": report.site,
        "at": report.at,
        "items": [msgspec.structs.asdict(item) for item in report.items],
    }


def show(report: "Report") -> None:
    """The headline first; then the worst first, each with what to do below it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from remotegpu.site.status.items import lines

    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for item in lines(report):
        table.add_row(Text(item.level, STYLES[item.level]), Text(item.name), Text(item.found))
        if item.remedy:
            table.add_row("", "", Text(f"-> {item.remedy}", "dim"))
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
    with console.capture() as rendered:
        console.print(table)
    print_line(report.headline)
    print_line("")
    print_line("\n".join(line.rstrip() for line in rendered.get().splitlines()))


def register(app: App) -> None:
    app.command(status)
