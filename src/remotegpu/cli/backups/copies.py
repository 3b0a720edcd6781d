"""``remotegpu backups run | list | verify | prune | wal-status | schedule``: making backups and keeping them."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from remotegpu.cli.backups.shared import FAILED, Json, app, guarded, moment
from remotegpu.cli.output import print_json, print_line, print_note, print_table, show_bytes
from remotegpu.kit.clock import utc_now

if TYPE_CHECKING:
    from remotegpu.site.backups.manifests import Manifest
    from remotegpu.site.backups.settings import Settings


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
        from remotegpu.site.backups.errors import SomeFailedError

        try:
            made = making.make(
                settings,
                making.wanted(settings, kind),
                why=why,
                say=print_note,
                wait_s=wait,
                meant=making.Meant(accept_deletions=accept_deletions, new_cluster=new_cluster),
            )
        except SomeFailedError as error:
            if not json_output:
                raise
            print_json({"ok": False, "error": str(error), "backups": error.made})
            return FAILED
        if json_output:
            print_json({"ok": True, "backups": made})
        else:
            _show(made)
        return 0

    return guarded(work, json_output=json_output)


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

    return guarded(work, json_output=json_output)


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

    return guarded(work, json_output=json_output)


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
            gone = upkeep.prune(settings, found, now, print_note, dry_run=dry_run)
        ids = [manifest.id for manifest in gone.backups]
        if json_output:
            said = {"removed": ids, "contents": gone.contents, "repositories": gone.repositories}
            print_json({"ok": True, "dry_run": dry_run, **said})
        else:
            would = "would remove" if dry_run else "removed"
            print_line(
                f"{would} {len(ids)} backups and {gone.contents} contents of objects"
                + "".join(f"\n  {one}" for one in (*ids, *gone.repositories))
            )
        return 0

    return guarded(work, json_output=json_output)


@app.command
def prepare_next_key(
    *,
    wait: Annotated[float, Parameter(help="Seconds to wait for a backup that is at work.")] = 0,
    json_output: Json = False,
) -> int:
    """Make the repository of the announced encryption key. Part of `remotegpu site secrets rotate encryption-key`."""

    def work(settings: "Settings") -> int:
        from remotegpu.site.backups import pgbackrest
        from remotegpu.site.backups.work import writing

        with writing(settings, "making the next repository", utc_now(), wait):
            pgbackrest.prepare_next(settings)
        if json_output:
            print_json({"ok": True})
        else:
            print_line("the next repository is there; nothing uses it yet")
        return 0

    return guarded(work, json_output=json_output)


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
                f"last archived         {found.last_archived_wal or '-'} at {moment(found.last_archived_at)}"
            )
            print_line(f"waiting               {found.waiting} segments")
            print_line(f"failing               {'yes, ' + found.last_failed_wal if found.failing else 'no'}")
        return FAILED if found.failing else 0

    return guarded(work, json_output=json_output)


@app.command
def schedule(
    *, once: Annotated[bool, Parameter(negative=(), help="Do what is due now, and end: for cron.")] = False
) -> int:
    """Make backups and drills when they are due, and serve metrics, until stopped."""

    def work(settings: "Settings") -> int:
        from remotegpu.site.backups import schedule as scheduling

        scheduling.run(settings, once=once)
        return 0

    return guarded(work, json_output=False)
