"""``remotegpu backups restore | restore-objects | swap | discard | drill``: bringing backups back."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from remotegpu.cli.backups.shared import Json, app, guarded, moment
from remotegpu.cli.output import print_json, print_line, print_note
from remotegpu.kit.clock import utc_now

if TYPE_CHECKING:
    from remotegpu.site.backups.restoring import Possible
    from remotegpu.site.backups.settings import Settings


@app.command
def restore(
    *,
    into: Annotated[str, Parameter(help="Name of the new database.")],
    backup: Annotated[str | None, Parameter(help="Id of a backup of kind database.")] = None,
    at: Annotated[
        str | None, Parameter(help="A moment with its zone: 2026-11-24T06:30:00Z; or newest.")
    ] = None,
    archived: Annotated[
        bool, Parameter(negative=(), help="Take the archive as it is: the cluster it is of is lost.")
    ] = False,
    dry_run: Annotated[
        bool, Parameter(negative=(), help="Only look whether the backup is whole and there is room.")
    ] = False,
    json_output: Json = False,
) -> int:
    """Bring a backup, or the state of a moment, into a new database. The running one is not touched."""

    def work(settings: "Settings") -> int:
        from remotegpu.site.backups import restoring
        from remotegpu.site.backups.errors import UsageError

        if dry_run and (backup is None) != (at is None):
            moment_at = None if at is None else _parsed(at)
            found = restoring.look(settings, into, backup, moment_at, print_note)
            return _show_possible(found, json_output=json_output)
        if backup is not None and at is None:
            restored = restoring.by_backup(settings, into, backup, print_note)
        elif at is not None and backup is None:
            restored = restoring.by_time(settings, into, _parsed(at), print_note, archived=archived)
        else:
            raise UsageError("found both or neither of --backup and --at, expected one of them")
        if json_output:
            print_json({"ok": True, "restored": restored})
        else:
            what = f"{restored.tables} tables, {restored.rows} rows, the state of {moment(restored.moment)}"
            print_line(f"{restored.into}: {what}")
            print_line(
                f"Put it in the place of the running one: remotegpu backups swap --into {restored.into}"
            )
        return 0

    return guarded(work, json_output=json_output)


def _show_possible(found: "Possible", *, json_output: bool) -> int:
    if json_output:
        print_json({"ok": True, "possible": found})
    else:
        rows = "" if found.rows is None else f", {found.rows} rows"
        print_line(
            f"possible: the state of {moment(found.moment) if found.moment else 'the newest moment'}{rows}"
        )
    return 0


def _parsed(text: str) -> datetime | None:
    """None for the end of the archive."""
    from remotegpu.site.backups.errors import UsageError

    if text == "newest":
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise UsageError(
            f"--at: found {text!r}, expected a moment with its zone, such as 2026-11-24T06:30:00Z"
        )
    return at.astimezone(UTC)


@app.command
def restore_objects(
    *,
    backup: Annotated[
        str | None, Parameter(help="Id of a backup of kind objects; without one, the newest.")
    ] = None,
    json_output: Json = False,
) -> int:
    """Put into the bucket what it lacks or has otherwise than the backup. What else is there stays."""

    def work(settings: "Settings") -> int:
        from remotegpu.site.backups import making

        keys = making.put_objects_back(settings, backup, print_note)
        if json_output:
            print_json({"ok": True, "put_back": keys})
        else:
            print_line(f"{len(keys)} objects put back")
        return 0

    return guarded(work, json_output=json_output)


@app.command
def swap(
    *,
    into: Annotated[str, Parameter(help="A restored database, which becomes the site's.")],
    json_output: Json = False,
) -> int:
    """Put a restored database in the place of the running one, which stays under another name."""

    def work(settings: "Settings") -> int:
        from remotegpu.site.backups import swapping

        swapped = swapping.swap(settings, into, utc_now())
        if json_output:
            print_json({"ok": True, "swapped": swapped})
        else:
            print_line(f"{swapped.database} is the restored one; what was there is {swapped.before}")
            print_line(f"Take it back: remotegpu backups swap --into {swapped.before}")
        return 0

    return guarded(work, json_output=json_output)


@app.command
def discard(
    *,
    database: Annotated[str, Parameter(help="One that a swap left behind: remotegpu_before_…")],
    json_output: Json = False,
) -> int:
    """Drop a database that a swap left behind, for good."""

    def work(settings: "Settings") -> int:
        from remotegpu.site.backups import swapping

        swapping.discard(settings, database, utc_now())
        if json_output:
            print_json({"ok": True, "discarded": database})
        else:
            print_line(f"{database} is gone")
        return 0

    return guarded(work, json_output=json_output)


@app.command
def drill(*, json_output: Json = False) -> int:
    """Restore the newest dump and a moment seconds ago into scratch clusters, compare, and record RTO and RPO."""

    def work(settings: "Settings") -> int:
        from remotegpu.site.backups import drill as drilling
        from remotegpu.site.backups import outcomes
        from remotegpu.site.backups.errors import NotGoodError

        with outcomes.recorded(settings.backup_dir, "drill"):
            result = drilling.drill(settings, print_note)
            if json_output:
                print_json({"ok": result.passed, "drill": result})
            if not result.passed:
                raise NotGoodError("the drill did not pass: " + "; ".join(result.reasons))
        if not json_output:
            print_line(
                f"passed: restored within {result.rto_s:.1f} s, at most {result.rpo_s:.1f} s of work not archived"
            )
        return 0

    return guarded(work, json_output=json_output)
