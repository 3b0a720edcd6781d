"""``remotegpu site backup | backups | restore | drill``: the site's data. The work is done in its backup container."""

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from remotegpu.cli.output import print_json, print_line, print_note
from remotegpu.cli.site.shared import DEFAULT, UNUSABLE, ConfigPath, Json, Steps, guarded

if TYPE_CHECKING:
    from remotegpu.site.place import Place
    from remotegpu.site.verbs.restore import Restored, Source


NEWEST = "newest"
"""The last moment that the archive holds: for a database that is lost or damaged."""


def backup(
    *,
    config: ConfigPath = DEFAULT,
    kind: Annotated[str, Parameter(help="database, base, redis, objects, or all of them.")] = "all",
    why: Annotated[str, Parameter(help="What it is made for; kept with it.")] = "",
    json_output: Json = False,
) -> int:
    """Make a backup now. The scheduled ones come by themselves."""
    return in_container(config, ("run", "--kind", kind, "--why", why), json_output=json_output)


def backups(*, config: ConfigPath = DEFAULT, json_output: Json = False) -> int:
    """List the backups there are, oldest first."""
    return in_container(config, ("list",), json_output=json_output)


def drill(*, config: ConfigPath = DEFAULT, json_output: Json = False) -> int:
    """Restore the newest backup and a moment seconds ago into scratch, compare everything, record RTO and RPO."""
    return in_container(config, ("drill",), json_output=json_output)


def restore(
    *,
    config: ConfigPath = DEFAULT,
    backup: Annotated[str | None, Parameter(help="Id of a backup of kind database.")] = None,
    at: Annotated[
        str | None, Parameter(help="A moment with its zone, 2026-11-24T06:30:00Z, or newest.")
    ] = None,
    into: Annotated[
        str | None, Parameter(help="Make a copy of this name to look at, and leave the site as it is.")
    ] = None,
    dry_run: Annotated[
        bool,
        Parameter(negative=(), help="Look whether it can be restored and show the steps; change nothing."),
    ] = False,
    yes: Annotated[bool, Parameter(negative=(), help="Do not ask.")] = False,
    json_output: Json = False,
) -> int:
    """Bring the database back as it was: of a backup, or of a moment.

    What is there stays beside it under another name, and is backed up once more first. Any failure leaves it as it is.
    """

    def act(place: "Place") -> int:
        from remotegpu.site.verbs import alerts
        from remotegpu.site.verbs import restore as verb

        if (backup is None) == (at is None):
            found = "neither --backup nor --at" if backup is None else "both --backup and --at"
            print_note(
                f"remotegpu: found {found}, expected one of them; `remotegpu site backups` lists what there is"
            )
            return UNUSABLE
        if at is not None and not _is_moment(at):
            print_note(
                f"remotegpu: --at: found {at!r}, expected a moment with its zone, such as 2026-11-24T06:30:00Z"
            )
            return UNUSABLE
        source = verb.Source(backup=backup or "", at=at or "")
        if dry_run:
            return _show_plan(verb.look(place, Steps(), source, into or ""), into, json_output=json_output)
        if into is not None:
            return _show(verb.restore_into(place, Steps(), source, into), json_output=json_output)
        if not yes and not _confirmed(place, source):
            return UNUSABLE
        steps = Steps()
        with alerts.told(place, steps, "restore"):
            restored = verb.restore(place, steps, source)
        return _show(restored, json_output=json_output)

    return guarded(config, act, json_output=json_output)


def _show_plan(possible: dict[str, Any], into: str | None, *, json_output: bool) -> int:
    from remotegpu.site.verbs.restore import PLAN

    steps = PLAN[:1] if into else PLAN
    if json_output:
        print_json({"ok": True, "possible": possible, "steps": steps})
        return 0
    rows = f", {possible['rows']} rows" if possible["rows"] is not None else ""
    print_line(
        f"It can be restored: the state of {possible['moment'] or 'the newest moment'}{rows}. The steps:"
    )
    for number, step in enumerate(steps, start=1):
        print_line(f"  {number}. {step}")
    return 0


def _is_moment(text: str) -> bool:
    if text == NEWEST:
        return True
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _confirmed(place: "Place", source: "Source") -> bool:
    """By the site's name: everything after that moment goes."""
    name = place.config.site.name
    if not sys.stdin.isatty():
        print_note(f"remotegpu: this puts {name} back to {source}; pass --yes to confirm it")
        return False
    print_note(f"This puts the database of {name} back to {source}. What came after it is no longer in use.")
    print_note(f"Type {name} to go on:")
    return sys.stdin.readline().strip() == name


def _show(restored: "Restored", *, json_output: bool) -> int:
    if json_output:
        found = {"database": restored.database, "before": restored.before, "rows": restored.rows}
        print_json({"ok": True, "restored": found})
    elif restored.before:
        print_line(
            f"{restored.database} is the restored one, {restored.rows} rows; what was there is {restored.before}"
        )
    else:
        print_line(f"{restored.database} holds {restored.rows} rows; look at it, then drop it:")
        print_line(f"  docker compose exec postgresql psql -U postgres -d {restored.database}")
        print_line(f"  docker compose exec postgresql dropdb -U postgres {restored.database}")
    return 0


def in_container(config: ConfigPath, arguments: tuple[str, ...], *, json_output: bool) -> int:
    """The backup container's own command, its output as it comes, its exit status."""

    def act(place: "Place") -> int:
        from remotegpu.site import runner
        from remotegpu.site.commands.compose import Compose
        from remotegpu.site.deploying.safety import PROGRAM

        wanted = ("--json",) if json_output else ()
        command = Compose(place.directory).execute("backup", PROGRAM, "backups", *arguments, *wanted)
        return runner.pass_through(command)

    return guarded(config, act, json_output=json_output)


def register(app: App) -> None:
    for command in (backup, backups, restore, drill):
        app.command(command)
