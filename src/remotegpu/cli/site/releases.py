"""``remotegpu site deploy | rollback | releases``: which release serves."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import App, Parameter

from remotegpu.cli.output import print_json, print_line, print_note, print_table
from remotegpu.cli.site.shared import DEFAULT, UNUSABLE, ConfigPath, Json, Steps, guarded

if TYPE_CHECKING:
    from remotegpu.site.deploying.preflight import Finding
    from remotegpu.site.deploying.steps import Step
    from remotegpu.site.place import Place
    from remotegpu.site.releases import Release

Why = Annotated[str, Parameter(help="Why, for the record and for whoever finds the site locked.")]
DryRun = Annotated[
    bool, Parameter(name="--dry-run", negative=(), help="Show what would be done, and do nothing.")
]


def deploy(
    version: Annotated[str | None, Parameter(help="Release to bring; by default the file's.")] = None,
    /,
    *,
    config: ConfigPath = DEFAULT,
    why: Why = "",
    dry_run: DryRun = False,
    no_backup: Annotated[bool, Parameter(negative=(), help="Go without the backup before it.")] = False,
    restart_database: Annotated[
        bool, Parameter(negative=(), help="Give the database the new image too, which restarts it.")
    ] = False,
    json_output: Json = False,
) -> int:
    """Bring a release into service beside the one that serves. Any failure leaves, or brings back, the old one.

    Run it again after a crash: it goes on where it was.
    """
    from remotegpu.site.verbs import alerts
    from remotegpu.site.verbs import deploy as verb

    def act(place: "Place") -> int:
        if dry_run:
            return _show_plan(*verb.dry_run(place, version), json_output=json_output)
        steps, backup = Steps(), not no_backup
        with alerts.told(place, steps, "deploy"):
            release = verb.deploy(
                place, steps, version=version, why=why, backup=backup, restart_database=restart_database
            )
        return _show_release(release, json_output=json_output)

    return guarded(config, act, json_output=json_output)


def rollback(
    release: Annotated[str | None, Parameter(help="Version or id; by default the one before.")] = None,
    /,
    *,
    config: ConfigPath = DEFAULT,
    why: Why = "",
    accept_schema: Annotated[
        bool, Parameter(negative=(), help="Go back although migrations took away what it needs.")
    ] = False,
    dry_run: DryRun = False,
    json_output: Json = False,
) -> int:
    """Bring an earlier release back, with its images and its configuration. Data stays as it is."""
    from remotegpu.site.verbs import alerts
    from remotegpu.site.verbs import deploy as verb

    def act(place: "Place") -> int:
        if dry_run:
            plan = verb.dry_rollback(place, release, accept_schema=accept_schema)
            return _show_plan(*plan, json_output=json_output)
        steps = Steps()
        with alerts.told(place, steps, "rollback"):
            found = verb.rollback(place, steps, to=release, why=why, accept_schema=accept_schema)
        return _show_release(found, json_output=json_output)

    return guarded(config, act, json_output=json_output)


def releases(*, config: ConfigPath = DEFAULT, json_output: Json = False) -> int:
    """List the releases on record, and which one serves."""

    def act(place: "Place") -> int:
        from remotegpu.site.releases import Releases

        known = Releases(place.directory)
        current = known.current()
        found = [
            msgspec.to_builtins(release) | {"serves": current is not None and release.id == current.id}
            for release in known.all()
        ]
        if json_output:
            print_json(found)
            return 0
        rows = [
            [
                "*" if one["serves"] else "",
                one["version"],
                one["deployed_at"],
                one["slot"],
                one["schema"],
                one["by"],
                one["why"],
            ]
            for one in found
        ]
        columns = ("", "VERSION", "DEPLOYED AT", "SLOT", "SCHEMA", "BY", "WHY")
        print_table(columns, rows, empty="no release yet: remotegpu site deploy")
        return 0

    return guarded(config, act, json_output=json_output)


def migrate(
    version: Annotated[str | None, Parameter(help="Release to ask; by default the file's.")] = None,
    /,
    *,
    config: ConfigPath = DEFAULT,
    plan: Annotated[bool, Parameter(negative=(), help="Show what would be applied, with its SQL.")] = False,
    json_output: Json = False,
) -> int:
    """Show what a release would change in the database's schema. Migrations themselves are steps of a deploy."""
    from remotegpu.site.verbs import migrate as verb

    if not plan:
        print_note(
            "remotegpu: found no --plan, expected it; `remotegpu site deploy` is what applies migrations"
        )
        return UNUSABLE
    return guarded(
        config, lambda place: verb.show_plan(place, version, json_output=json_output), json_output=json_output
    )


def _show_release(release: "Release", *, json_output: bool) -> int:
    if json_output:
        print_json({"ok": True, "release": msgspec.to_builtins(release)})
    else:
        print_line(f"{release.version} serves, in slot {release.slot}")
    return 0


def _show_plan(steps: "list[Step]", findings: "list[Finding]", *, json_output: bool) -> int:
    titles = [(step.name, step.title) for step in steps]
    if json_output:
        print_json({"steps": [name for name, _ in titles], "preflight": [asdict(one) for one in findings]})
    else:
        rows = [[one.name, one.level, one.found, one.remedy] for one in findings]
        print_table(("CHECK", "RESULT", "FOUND", "REMEDY"), rows, empty="")
        print_line("")
        print_table(("STEP", "WHAT"), titles, empty="")
    return 1 if any(one.level == "problem" for one in findings) else 0


def register(app: App) -> None:
    for command in (deploy, rollback, releases, migrate):
        app.command(command)
