"""``site deploy`` and ``site rollback``: one journal, one order of steps, one way back."""

import getpass
import secrets
from dataclasses import replace
from datetime import datetime

import msgspec

from remotegpu.kit.clock import utc_now
from remotegpu.site import images
from remotegpu.site.bundle.render import render
from remotegpu.site.deploying import decisions, health, preflight, pruning, schema, undoing
from remotegpu.site.deploying.deployment import DeployError, Deployment, Kind, Plan, Progress
from remotegpu.site.deploying.steps import STEPS, Step
from remotegpu.site.images import ImageError
from remotegpu.site.journal import Journal
from remotegpu.site.place import Place
from remotegpu.site.releases import Release, Releases
from remotegpu.site.runner import CommandError
from remotegpu.site.verbs.holding import held
from remotegpu.site.verbs.restore import finish_cut_short

PLAN = "plan"
"""First entry of a run: its :class:`Plan`, as JSON."""
UNDO = "undo"
FAILURES = (DeployError, ImageError, CommandError, OSError)


def deploy(
    place: Place,
    progress: Progress,
    *,
    version: str | None = None,
    why: str = "",
    backup: bool = True,
    restart_database: bool = False,
) -> Release:
    """Bring ``version`` (by default the file's) into service; one that a crash cut short is gone on with.

    Raises :class:`DeployError` when the old release had to stay or to come back, and
    :class:`~remotegpu.site.lock.SiteBusyError`.
    """
    place = with_version(place, version)
    wanted = place.config.release.version
    with held(place, f"deploy {wanted}" + (f": {why}" if why else "")):
        finish_cut_short(place, progress)
        cut_short = unfinished(place, progress)
        if cut_short and was_being_taken_back(cut_short):
            take_back(cut_short, progress, "it was being taken back")
        elif cut_short and cut_short.plan.version == wanted and not cut_short.plan.restores:
            return carry_out(cut_short, progress)
        elif cut_short:
            take_back(cut_short, progress, "another release was asked for")
        deployment = prepare(place, progress, why=why, backup=backup, restart_database=restart_database)
        require_well(preflight.look(deployment), progress)
        return carry_out(begin(deployment), progress)


def dry_run(place: Place, version: str | None) -> tuple[list[Step], list[preflight.Finding]]:
    """The steps that a deployment would take, and what the look before it found. Changes nothing."""
    deployment = prepare(with_version(place, version), _silent, why="", backup=True, restart_database=False)
    return [step for step in STEPS if step.applies(deployment)], preflight.look(deployment)


def dry_rollback(
    place: Place, to: str | None, *, accept_schema: bool
) -> tuple[list[Step], list[preflight.Finding]]:
    """The same for a rollback; a migration that stands in its way is one of the findings. Changes nothing."""
    target = choose(Releases(place.directory), to)
    deployment = prepare_rollback(place, target, _silent, why="")
    findings = preflight.look(deployment)
    try:
        require_schema(deployment, target)
    except DeployError as error:
        level = "warning" if accept_schema else "problem"
        findings.append(preflight.Finding("schema", level, str(error), "See `remotegpu site backups`."))
    return [step for step in STEPS if step.applies(deployment)], findings


def _silent(_step: str, _said: str) -> None:
    """A plan has no progress."""


def rollback(
    place: Place, progress: Progress, *, to: str | None = None, why: str = "", accept_schema: bool = False
) -> Release:
    """Bring an earlier release back, as it was configured then. What a crash cut short is taken back first.

    Raises :class:`DeployError`, :class:`~remotegpu.site.lock.SiteBusyError`.
    """
    with held(place, f"rollback{f' to {to}' if to else ''}" + (f": {why}" if why else "")):
        finish_cut_short(place, progress)
        cut_short = unfinished(place, progress)
        if cut_short:
            take_back(cut_short, progress, "a rollback was asked for")
            serving = Releases(place.directory).current()
            if serving and (to is None or to in {serving.id, serving.version}):
                return serving
        target = choose(Releases(place.directory), to)
        deployment = prepare_rollback(place, target, progress, why=why)
        if not accept_schema:
            require_schema(deployment, target)
        require_well(preflight.look(deployment), progress)
        return carry_out(begin(deployment), progress)


def with_version(place: Place, version: str | None) -> Place:
    """The site with the release that was asked for on the command line."""
    if version is None:
        return place
    release = msgspec.structs.replace(place.config.release, version=version)
    config = msgspec.structs.replace(place.config, release=release)
    return replace(place, config=msgspec.convert(msgspec.to_builtins(config), type(config)))


def prepare(
    place: Place, progress: Progress, *, why: str, backup: bool, restart_database: bool
) -> Deployment:
    """What would be done. Changes nothing."""
    current = Releases(place.directory).current()
    version = place.config.release.version
    references = decisions.image_references(place.config, version)
    plan = Plan(
        id=new_id(utc_now(), version),
        version=version,
        slot=decisions.next_slot(current),
        previous=current.id if current else "",
        images=references,
        image_ids=decisions.known_ids(place.config, references, current),
        backup=backup,
        restart_database=restart_database,
        why=why,
        by=getpass.getuser(),
    )
    return Deployment(place, plan, render(place.config), progress)


def prepare_rollback(
    place: Place, target: Release, progress: Progress, *, why: str, kind: Kind = "rollback"
) -> Deployment:
    """The same with the images and the configuration of ``target``."""
    releases = Releases(place.directory)
    current = releases.current()
    assert current
    plan = Plan(
        id=new_id(utc_now(), target.version),
        version=target.version,
        slot=decisions.next_slot(current),
        previous=current.id,
        images=target.images,
        image_ids=target.image_ids,
        kind=kind,
        restores=target.id,
        why=why,
        by=getpass.getuser(),
    )
    return Deployment(place, plan, releases.bundle(target), progress)


def new_id(now: datetime, version: str) -> str:
    """Sorts by time, and says what it is."""
    return f"{now:%Y%m%dT%H%M%SZ}-{version}-{secrets.token_hex(2)}"


def choose(releases: Releases, wanted: str | None) -> Release:
    """The release to bring back: the one named, else the one before. Raises :class:`DeployError`."""
    current = releases.current()
    known = releases.all()
    if current is None:
        raise DeployError(
            "found no release that serves; expected one. Bring one with `remotegpu site deploy`."
        )
    if wanted is None:
        earlier = [release for release in known if release.version != current.version]
    else:
        earlier = [release for release in known if wanted in {release.id, release.version}]
    if not earlier:
        versions = ", ".join(dict.fromkeys(release.version for release in known))
        raise DeployError(
            f"found no release {wanted or 'before this one'} on record; expected one of {versions}"
        )
    return earlier[-1]


def require_schema(deployment: Deployment, target: Release) -> None:
    """Raises :class:`DeployError` when migrations since took away what ``target`` needs."""
    contracted = schema.plan(deployment).contracted_since(target.schema)
    if contracted:
        raise DeployError(
            f"{target.version} cannot work with the database as it is: {', '.join(contracted)} took away what it "
            "needs. Restore the backup from before that (`remotegpu site restore`), deploy a newer release, or, "
            "knowing that it will fail where it uses what is gone, pass --accept-schema."
        )


def require_well(findings: list[preflight.Finding], progress: Progress) -> None:
    """Raises :class:`DeployError` with every problem at once."""
    for finding in findings:
        if finding.level == "warning":
            progress("preflight", f"{finding.name}: {finding.found}. {finding.remedy}")
    problems = [finding for finding in findings if finding.level == "problem"]
    if problems:
        said = "\n".join(f"  {finding.name}: {finding.found}. {finding.remedy}" for finding in problems)
        raise DeployError(f"nothing was changed; this is in the way:\n{said}")
    progress("preflight", f"{len(findings)} checks passed")


def begin(deployment: Deployment) -> Deployment:
    """From here on a crash is gone on from. Images are here first: that changes nothing yet."""
    plan = deployment.plan
    images.require(plan.image_ids, plan.version)
    found = images.fetch(plan.images, deployment.place.config.release.registry, plan.image_ids)
    deployment.plan = msgspec.structs.replace(plan, image_ids=found)
    deployment.progress("images", ", ".join(plan.images.values()))
    deployment.note(PLAN, "done", msgspec.json.encode(deployment.plan).decode())
    return deployment


def unfinished(place: Place, progress: Progress) -> Deployment | None:
    """The deployment that a crash cut short."""
    run = Journal(place.directory).unfinished("deploy", "rollback", "restart")
    if run is None or run.entries[0].step != PLAN:
        return None
    plan = msgspec.json.decode(run.entries[0].detail, type=Plan)
    place = with_version(place, None if plan.restores else plan.version)
    releases = Releases(place.directory)
    record = next((release for release in releases.all() if release.id == plan.restores), None)
    return Deployment(place, plan, releases.bundle(record) if record else render(place.config), progress)


def was_being_taken_back(deployment: Deployment) -> bool:
    """What its journal calls done may be undone already: it cannot be gone on with."""
    runs = deployment.journal.runs()
    return any(entry.step == UNDO for run in runs if run.run == deployment.plan.id for entry in run.entries)


def carry_out(deployment: Deployment, progress: Progress) -> Release:
    """Every step that was not done yet. A failure brings the old release back."""
    runs = {run.run: run for run in deployment.journal.runs()}
    done = runs[deployment.plan.id].done
    if len(done) > 1:
        progress("resume", f"{deployment.plan.version} goes on after {sorted_last(done)}")
    for step in STEPS:
        try:
            if step.name not in done and step.applies(deployment):
                take(step, deployment, progress)
        except FAILURES as error:
            words = last_words(deployment) if step.of_services else ""
            serves = take_back(deployment, progress, str(error))
            raise DeployError(
                f"{deployment.plan.version} did not come into service: {error}\n{serves}.\n{words}".rstrip()
            ) from error
    deployment.end("done")
    pruning.prune(deployment)
    release = deployment.releases.current()
    assert release
    return release


def last_words(deployment: Deployment) -> str:
    """Of what is not well, or else of the release."""
    return health.last_words(deployment.compose, deployment.backend)


def sorted_last(done: frozenset[str]) -> str:
    return [step.name for step in STEPS if step.name in done][-1] if done - {PLAN} else PLAN


def take(step: Step, deployment: Deployment, progress: Progress) -> None:
    progress(step.name, step.title)
    deployment.note(step.name, "begun")
    said = step.act(deployment)
    deployment.note(step.name, "done", said)
    progress(step.name, said)


def take_back(deployment: Deployment, progress: Progress, reason: str) -> str:
    """The release before serves again. Returns what serves now.

    Raises :class:`DeployError` when that fails too; the journal then says so, and the next command begins with it.
    """
    progress(UNDO, f"taking {deployment.plan.version} back: {reason.splitlines()[0]}")
    deployment.note(UNDO, "begun", reason)
    try:
        serves = undoing.undo(deployment)
    except FAILURES as error:
        deployment.note(UNDO, "failed", str(error))
        raise DeployError(
            f"{deployment.plan.version} did not come into service: {reason}\nTaking it back failed as well: {error}\n"
            f"{last_words(deployment)}\n"
            "Mend what it says, then run `remotegpu site rollback`: it takes this back first."
        ) from error
    deployment.note(UNDO, "done", serves)
    deployment.end("failed", reason)
    progress(UNDO, serves)
    return serves
