"""``site restore``: the database as it was, while the one that is stays beside it under another name.

The long part happens while the site serves. Only then writers are fenced off, what is there is backed up once more, and
two renames in one transaction put the restored database in its place.
"""

import secrets
from dataclasses import dataclass
from typing import Any

from remotegpu.kit.clock import utc_now
from remotegpu.site import runner
from remotegpu.site.bundle import topology
from remotegpu.site.commands.compose import Compose
from remotegpu.site.deploying import health, safety
from remotegpu.site.deploying.deployment import DeployError, Progress
from remotegpu.site.deploying.safety import BACKUP_S, PROGRAM
from remotegpu.site.deploying.schema import last_json
from remotegpu.site.deploying.steps import MIGRATION_S
from remotegpu.site.journal import END, Entry, Journal, State
from remotegpu.site.place import Place
from remotegpu.site.releases import Release, Releases
from remotegpu.site.runner import CommandError
from remotegpu.site.verbs.holding import held

KIND = "restore"
PLAN = (
    "restore it beside the running database, while the site serves, and compare every table",
    "stop everything that writes",
    "back up what is there",
    "put the restored database in place; what was there stays under another name",
    "bring its schema up to the release that serves",
    "start again; whatever fails on the way puts back what was there",
)
"""For people, in order."""
STOP_S = 120


@dataclass(frozen=True)
class Source:
    """One of them: a backup's id, or a moment with its zone (RFC 3339)."""

    backup: str = ""
    at: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        return ("--backup", self.backup) if self.backup else ("--at", self.at)

    def __str__(self) -> str:
        return self.backup or self.at


@dataclass(frozen=True)
class Restored:
    """``database``: what serves now, or the copy that was asked for. ``before``: name of what was there."""

    database: str
    before: str
    rows: int


class Restoring:
    """One run: the site, the release that serves it, and the journal."""

    def __init__(self, place: Place, progress: Progress) -> None:
        current = Releases(place.directory).current()
        if current is None:
            raise DeployError(
                "found no release that serves; expected one. Bring one with `remotegpu site deploy`."
            )
        self.place, self.release, self.progress = place, current, progress
        self.compose = Compose(place.directory)
        self.run = f"{utc_now():%Y%m%dT%H%M%SZ}-restore-{secrets.token_hex(2)}"

    @property
    def writers(self) -> tuple[str, ...]:
        """Everything that changes the database."""
        return ("worker", *(f"backend-{slot}" for slot in topology.SLOTS))

    def note(self, step: str, state: State, detail: str = "") -> None:
        entry = Entry(at=utc_now(), run=self.run, what=KIND, step=step, state=state, detail=detail)
        Journal(self.place.directory).write(entry)

    def step(self, name: str, title: str) -> None:
        self.progress(name, title)
        self.note(name, "begun")

    def backups(self, *arguments: str) -> dict[str, Any]:  # Any: the command's own JSON
        """A command in the backup container. Raises :class:`DeployError` with what it says is wrong."""
        command = self.compose.execute("backup", PROGRAM, "backups", *arguments, "--json", timeout_s=BACKUP_S)
        done = runner.attempt(command)
        if done.code != 0:
            said = _reason(done.output)
            raise DeployError(said)
        return last_json(done.output)


def _reason(output: str) -> str:
    """The command's own words, without its progress."""
    try:
        return str(last_json(output).get("error") or output)
    except (DeployError, ValueError):
        return output.strip()[-2000:] or "the backup container did not say why"


def restore(place: Place, progress: Progress, source: Source) -> Restored:
    """Make the database what ``source`` says. Raises :class:`DeployError`; the data that was there serves then."""
    with held(place, f"restore {source}"):
        finish_cut_short(place, progress)
        work = Restoring(place, progress)
        new = _new_name()
        try:
            progress("restore", f"restore {source} beside the running database")
            copied = work.backups("restore", "--into", new, *source.options)["restored"]
            before = _in_the_journal(work, f"{source} into {new}", new)
        except (DeployError, CommandError) as error:
            raise DeployError(f"nothing was restored, the data is as it was: {error}") from error
        return Restored(topology.DATABASE, before, copied["rows"])


def look(place: Place, progress: Progress, source: Source, into: str) -> dict[str, Any]:  # Any: as below
    """What ``source`` would bring, once it is known to be whole. Changes nothing. Raises :class:`DeployError`."""
    return Restoring(place, progress).backups(
        "restore", "--into", into or _new_name(), *source.options, "--dry-run"
    )["possible"]


def _new_name() -> str:
    return f"remotegpu_restored_{utc_now():%Y%m%d_%H%M%S}"


def restore_into(place: Place, progress: Progress, source: Source, name: str) -> Restored:
    """A copy under another name, to look at. The site's own database is not touched. Raises :class:`DeployError`."""
    with held(place, f"restore {source} into {name}"):
        work = Restoring(place, progress)
        progress("restore", f"restore {source} into {name}")
        copied = work.backups("restore", "--into", name, *source.options)["restored"]
        return Restored(name, "", copied["rows"])


def _in_the_journal(work: Restoring, what: str, new: str) -> str:
    """From here on the site is changed; a restore that is refused before is nothing to go on from."""
    work.note("plan", "done", what)
    try:
        before = _put_in_place(work, new)
    except (DeployError, CommandError) as error:
        work.note(END, "failed", str(error))
        raise
    work.note(END, "done", before)
    return before


def _put_in_place(work: Restoring, new: str) -> str:
    """Fence, back up, swap, start. Any failure leaves, or brings back, what was there. Returns its new name."""
    before = ""
    try:
        work.step("fence", "stop everything that writes")
        runner.run(work.compose.stop(*work.writers, within_s=STOP_S))
        work.step("safety", "back up what is there")
        work.progress("safety", safety.back_up(work.compose, "before a restore"))
        work.step("swap", "put the restored database in place")
        before = str(work.backups("swap", "--into", new)["swapped"]["before"])
        work.step("migrate", "bring its schema up to the release that serves")
        migrate = ("server", "migrate", "--phase", "pre", "--json")
        runner.run(work.compose.run_once("migrate", *migrate, timeout_s=MIGRATION_S))
        work.step("start", "start again")
        start_serving(work.compose, work.release, work.place)
    except (DeployError, CommandError) as error:
        if before:
            work.step("undo", "put back what was there")
            work.backups("swap", "--into", before)
        start_serving(work.compose, work.release, work.place)
        raise DeployError(str(error)) from error
    return before


def start_serving(compose: Compose, release: Release, place: Place) -> None:
    """The release that serves, and its worker; healthy when this returns. Nobody stopped the backup container.

    Raises :class:`DeployError` with the end of the log of what is not.
    """
    within = place.config.release.start_seconds
    services = (f"backend-{release.slot}", f"frontend-{release.slot}", "worker")
    try:
        health.start(compose, *services, within_s=within)
    except (DeployError, CommandError) as error:
        raise DeployError(f"{error}\n{health.last_words(compose, services[0])}".rstrip()) from error


def finish_cut_short(place: Place, progress: Progress) -> None:
    """A restore that a crash ended: the database is whole, before or after, but its writers may still be fenced off."""
    run = Journal(place.directory).unfinished(KIND)
    current = Releases(place.directory).current()
    if run is None or current is None:
        return
    progress("restore", "a restore was cut short; starting what it had stopped")
    start_serving(Compose(place.directory), current, place)
    entry = Entry(
        at=utc_now(), run=run.run, what=KIND, step=END, state="failed", detail="cut short by a crash"
    )
    Journal(place.directory).write(entry)
