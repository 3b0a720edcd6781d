"""``remotegpu backups``: make, check, restore and try out backups. Runs in the site's ``backup`` container.

Exit status: 0 done, 1 failed, 2 wrong use.
"""

import signal
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

from cyclopts import App, Parameter

from remotegpu.cli.output import print_json, print_line, print_note, print_table, show_bytes
from remotegpu.kit.clock import utc_now
from remotegpu.kit.environment import SettingsError

if TYPE_CHECKING:
    from remotegpu.site.backups.manifests import Manifest
    from remotegpu.site.backups.settings import Settings

app = App(name="backups", help="Backups of a site: make, check, restore, try out.", help_format="plaintext")

FAILED, WRONG_USE, TERMINATED = 1, 2, 143

Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON.")]


def _guarded(work: "Callable[[Settings], int]", *, json_output: bool) -> int:
    """Run ``work`` with the settings; what can go wrong becomes a message and an exit status."""
    from remotegpu.site.backups import settings
    from remotegpu.site.backups.errors import BackupError, NotGoodError, UsageError
    from remotegpu.site.lock import SiteBusyError

    signal.signal(signal.SIGTERM, _end)
    try:
        return work(settings.load())
    except (SettingsError, UsageError) as error:
        return _complain(str(error), WRONG_USE, json_output=json_output)
    except NotGoodError as error:
        return _complain(str(error), FAILED, json_output=False)
    except (BackupError, SiteBusyError) as error:
        return _complain(str(error), FAILED, json_output=json_output)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    """As an exception, so that what was started is ended and what was begun is cleared away."""
    raise SystemExit(TERMINATED)


def _complain(message: str, status: int, *, json_output: bool) -> int:
    if json_output:
        print_json({"ok": False, "error": message})
    print_note(f"remotegpu: {message}")
    return status


@app.command
def run(
    *,
    kind: Annotated[str, Parameter(help="database, base, redis, objects, or all of them.")] = "all",
    why: Annotated[str, Parameter(help="What it is made for; kept with it.")] = "",
    accept_deletions: Annotated[
        bool, Parameter(negative=(), help="Many objects were deleted on purpose: believe it.")
    ] = False,
    new_cluster: Annotated[
        bool, Parameter(negative=(), help="The database cluster is a new one and takes over the repository.")
    ] = False,
    wait: Annotated[float, Parameter(help="Seconds to wait for another backup that is at work.")] = 0,
    json_output: Json = False,
) -> int:
    """Make a backup now."""

    def work(settings: "Settings") -> int:
        from remotegpu.site.backups import making

        made = making.make(
            settings,
            making.wanted(settings, kind),
            why=why,
            say=print_note,
            wait_s=wait,
            meant=making.Meant(accept_deletions=accept_deletions, new_cluster=new_cluster),
        )
        if json_output:
            print_json({"ok": True, "backups": made})
        else:
            _show(made)
        return 0

    return _guarded(work, json_output=json_output)


@app.command(name="list")
def list_backups(
    *,
    kind: Annotated[str, Parameter(help="database, base, redis, objects, or all of them.")] = "all",
    json_output: Json = False,
) -> int:
    """List the backups there are, oldest first."""

    def work(settings: "Settings") -> int:
        from remotegpu.site.backups.store import Store

        found = [each for each in Store(settings.backup_dir).all() if kind in {"all", each.kind}]
        if json_output:
            print_json({"ok": True, "backups": found})
        else:
            _show(found)
        return 0

    return _guarded(work, json_output=json_output)


def _show(found: "list[Manifest]") -> None:
    rows = [
        [
            each.id,
            each.kind,
            f"{each.finished_at:%Y-%m-%d %H:%M:%S}",
            f"{each.duration_s:.1f} s",
            show_bytes(each.size),
            _content(each),
            each.why or "-",
        ]
        for each in found
    ]
    print_table(
        ("BACKUP", "KIND", "FINISHED (UTC)", "TOOK", "SIZE", "CONTENT", "WHY"), rows, empty="no backups yet"
    )


def _content(manifest: "Manifest") -> str:
    if manifest.database is not None:
        return f"{len(manifest.database.tables)} tables, {manifest.database.rows} rows"
    if manifest.base is not None:
        return f"{manifest.base.type} {manifest.base.label}"
    if manifest.objects is not None:
        return f"{manifest.objects.objects} objects"
    return "RDB and AOF" if manifest.redis is not None and manifest.redis.aof else "RDB"


@app.command
def verify(backup: str | None = None, /, *, json_output: Json = False) -> int:
    """Read backups from end to end and compare them with their checksums: one, or all of them.

    Parameters
    ----------
    backup
        Its id; without one, all.
    """

    def work(settings: "Settings") -> int:
        from remotegpu.site.backups import outcomes, upkeep
        from remotegpu.site.backups.errors import NotGoodError

        with outcomes.recorded(settings.backup_dir, "verify"):
            results = upkeep.verify(settings, backup, print_note)
            bad = [each for each in results if each.problems]
            if json_output:
                print_json({"ok": not bad, "verified": results})
            if bad:
                found = [f"{each.id}: {problem}" for each in bad for problem in each.problems]
                raise NotGoodError("\n".join(found))
        if not json_output:
            print_line(f"{len(results)} verified, all whole")
        return 0

    return _guarded(work, json_output=json_output)


@app.command
def prune(
    *,
    dry_run: Annotated[bool, Parameter(negative=(), help="Only say what would go.")] = False,
    json_output: Json = False,
) -> int:
    """Remove what was kept long enough. The newest good backup of each kind always stays."""

    def work(settings: "Settings") -> int:
        from remotegpu.site.backups import upkeep
        from remotegpu.site.backups.work import restoring, writing

        now = utc_now()
        with restoring(settings, "pruning of backups", now), writing(settings, "pruning", now) as found:
            gone = upkeep.prune(settings, found, now, dry_run=dry_run)
        ids = [manifest.id for manifest in gone.backups]
        if json_output:
            print_json({"ok": True, "dry_run": dry_run, "removed": ids, "contents": gone.contents})
        else:
            would = "would remove" if dry_run else "removed"
            print_line(
                f"{would} {len(ids)} backups and {gone.contents} contents of objects"
                + "".join(f"\n  {one}" for one in ids)
            )
        return 0

    return _guarded(work, json_output=json_output)


@app.command
def wal_status(*, json_output: Json = False) -> int:
    """Show how far the archive is behind the database, in seconds of work that would be lost: the measured RPO."""

    def work(settings: "Settings") -> int:
        from remotegpu.site.backups import wal

        found = wal.status(settings)
        if json_output:
            print_json(found)
        else:
            print_line(f"archive is behind by  {found.lag_s:.1f} s" + ("" if found.exact else " at most"))
            print_line(
                f"last archived         {found.last_archived_wal or '-'} at {_moment(found.last_archived_at)}"
            )
            print_line(f"waiting               {found.waiting} segments")
            print_line(f"failing               {'yes, ' + found.last_failed_wal if found.failing else 'no'}")
        return FAILED if found.failing else 0

    return _guarded(work, json_output=json_output)


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "-"


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
    json_output: Json = False,
) -> int:
    """Bring a backup, or the state of a moment, into a new database. The running one is not touched."""

    def work(settings: "Settings") -> int:
        from remotegpu.site.backups import restoring
        from remotegpu.site.backups.errors import UsageError

        if backup is not None and at is None:
            restored = restoring.by_backup(settings, into, backup, print_note)
        elif at is not None and backup is None:
            restored = restoring.by_time(settings, into, _parsed(at), print_note, archived=archived)
        else:
            raise UsageError("found both or neither of --backup and --at, expected one of them")
        if json_output:
            print_json({"ok": True, "restored": restored})
        else:
            what = f"{restored.tables} tables, {restored.rows} rows, the state of {_moment(restored.moment)}"
            print_line(f"{restored.into}: {what}")
            print_line(
                f"Put it in the place of the running one: remotegpu backups swap --into {restored.into}"
            )
        return 0

    return _guarded(work, json_output=json_output)


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

    return _guarded(work, json_output=json_output)


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

    return _guarded(work, json_output=json_output)


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

    return _guarded(work, json_output=json_output)


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

    return _guarded(work, json_output=json_output)


@app.command
def schedule(
    *, once: Annotated[bool, Parameter(negative=(), help="Do what is due now, and end: for cron.")] = False
) -> int:
    """Make backups and drills when they are due, and serve metrics, until stopped."""

    def work(settings: "Settings") -> int:
        from remotegpu.site.backups import schedule as scheduling

        scheduling.run(settings, once=once)
        return 0

    return _guarded(work, json_output=False)
