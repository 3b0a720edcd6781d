"""``remotegpu site secrets list | rotate``."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from remotegpu.cli.output import print_json, print_line, print_table
from remotegpu.cli.site.shared import DEFAULT, ConfigPath, Json, Steps, failed, guarded
from remotegpu.kit.clock import utc_now

if TYPE_CHECKING:
    from remotegpu.site.place import Place
    from remotegpu.site.verbs.rotate import Planned

app = App(name="secrets", help="The site's secrets: how old they are, and new ones.", help_format="plaintext")


@app.command(name="list")
def list_secrets(*, config: ConfigPath = DEFAULT, json_output: Json = False) -> int:
    """List the secrets, what each is for, its age and when it is due. Never a value."""

    def act(place: "Place") -> int:
        from remotegpu.site import secrets

        now = utc_now()
        found: list[Mapping[str, object]] = []
        for secret in secrets.CATALOGUE:
            path = place.originals / secrets.DIRECTORY / secret.name
            made = datetime.fromtimestamp(path.stat().st_mtime, UTC) if path.exists() else None
            due = made + timedelta(days=secret.due_days) if made and secret.due_days else None
            found.append(
                {"name": secret.name, "made_at": made, "due_at": due, "is_due": bool(due and due < now)}
                | {"for": secret.en, "readers": secret.readers}
            )
        if json_output:
            print_json(found)
            return 0
        rows = [
            [str(one["name"]), _day(one["made_at"]), _day(one["due_at"]), str(one["for"])] for one in found
        ]
        print_table(("SECRET", "MADE", "DUE", "FOR"), rows, empty="none")
        return 0

    return guarded(config, act, json_output=json_output)


@app.command
def rotate(
    what: Annotated[
        str,
        Parameter(
            help="jwt, db, redis, encryption-key, all of them, or agent:NODE for the token of one GPU host."
        ),
    ],
    /,
    *,
    config: ConfigPath = DEFAULT,
    dry_run: Annotated[bool, Parameter(negative=(), help="Show what would change; change nothing.")] = False,
    json_output: Json = False,
) -> int:
    """Replace secrets while the site serves: nobody is signed out, no request fails. Goes on after a crash."""

    def act(place: "Place") -> int:
        from remotegpu.site.verbs import rotate as verb

        if dry_run:
            return _show_planned(verb.planned(place, what), json_output=json_output)
        done = verb.rotate_named(place, Steps(), what)
        if json_output:
            print_json({"ok": True, "rotated": done})
        else:
            print_line(f"rotated: {', '.join(done)}")
        return 0

    return guarded(config, act, json_output=json_output)


def _show_planned(planned: "Planned", *, json_output: bool) -> int:
    if json_output:
        print_json({"ok": True, "planned": planned})
        return 0
    if planned.going_on:
        print_line(f"first: go on with the rotation of {', '.join(planned.going_on)}, which was cut short")
    print_line(f"rotate: {', '.join(planned.topics)}")
    print_line(
        f"files that change in secrets/: {', '.join(planned.secrets) or 'none; the host takes a new token'}"
    )
    print_line(f"programs that start anew, one slot after the other: {'yes' if planned.restarts else 'none'}")
    return 0


@app.command(name="open")
def open_bundle(
    bundle: Annotated[Path, Parameter(help="One of backups/secrets/*.tar.gz.age.")],
    /,
    *,
    identity: Annotated[Path, Parameter(help="File with the private age key.")],
    into: Annotated[Path, Parameter(help="Directory of remotegpu.yaml; secrets/ is made in it.")],
    json_output: Json = False,
) -> int:
    """Bring a site's secrets back from a bundle. Secrets that are there already are not written over."""
    from remotegpu.site import keeping

    try:
        names = keeping.put_back(keeping.opened(bundle, identity.read_text(encoding="utf-8")), into)
    except (keeping.KeepingError, OSError) as error:
        return failed(error, json_output=json_output)
    if json_output:
        print_json({"ok": True, "secrets": names})
    else:
        print_line(f"{into / 'secrets'}: {len(names)} secrets")
    return 0


def _day(moment: object) -> str:
    return f"{moment:%Y-%m-%d}" if isinstance(moment, datetime) else "-"
