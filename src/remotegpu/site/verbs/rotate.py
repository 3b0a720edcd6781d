"""``site secrets rotate``: new secrets while the site serves. Programs start anew in the other slot, nobody waits."""

import secrets as random
from collections.abc import Sequence
from datetime import timedelta

import msgspec

from remotegpu.kit.clock import utc_now
from remotegpu.site import keeping, rotation, runner, secrets
from remotegpu.site.commands.compose import Compose
from remotegpu.site.deploying import safety, steps, watching
from remotegpu.site.deploying.deployment import DeployError, Deployment, Progress
from remotegpu.site.journal import END, Entry, Journal, State
from remotegpu.site.place import Place
from remotegpu.site.releases import Releases
from remotegpu.site.rotation import PHASES, READ_AT_START, REDIS, TOPICS, Phase, Topic
from remotegpu.site.verbs import deploy
from remotegpu.site.verbs.holding import held
from remotegpu.site.verbs.restore import finish_cut_short

TOKEN_LIFETIME = timedelta(minutes=20)
"""Access tokens live for 15 minutes (``JWT_ACCESS_EXPIRE``); clocks differ a little."""
KIND = "rotate"


class Work(msgspec.Struct, kw_only=True, frozen=True):
    """What a rotation is about; in the journal, to go on from after a crash."""

    run: str
    topics: list[Topic]
    before: rotation.Before


def rotate(place: Place, progress: Progress, topics: Sequence[Topic] = TOPICS) -> list[Topic]:
    """Replace what ``topics`` name. One that a crash cut short is gone on with first. Returns what was rotated.

    Raises :class:`DeployError`, :class:`~remotegpu.site.lock.SiteBusyError`.
    """
    with held(place, f"rotate {', '.join(topics)}"):
        if Releases(place.directory).current() is None:
            raise DeployError(
                "found no release that serves; expected one. Bring one with `remotegpu site deploy`."
            )
        finish_cut_short(place, progress)
        cut_short = _cut_short(place)
        if cut_short:
            _carry_out(place, cut_short, progress)
        left: list[Topic] = [topic for topic in topics if not cut_short or topic not in cut_short.topics]
        if left:
            before = rotation.before(_lines(place))
            work = Work(run=deploy.new_id(utc_now(), "rotate"), topics=left, before=before)
            _note(place, work, "plan", "done", msgspec.json.encode(work).decode())
            _carry_out(place, work, progress)
        return (cut_short.topics if cut_short else []) + left


def _lines(place: Place) -> rotation.Lines:
    return {name: secrets.read(place.originals, name) for name in rotation.READ}


def rotate_named(place: Place, progress: Progress, what: str) -> list[str]:
    """``what``: a topic, ``all``, or ``agent:NODE``. Returns what was rotated. Raises :class:`DeployError`."""
    if what.startswith("agent:"):
        return [_ask_agent(place, progress, what.removeprefix("agent:"))]
    return list(rotate(place, progress, _topics(what)))


def _topics(what: str) -> list[Topic]:
    if what == "all":
        return list(TOPICS)
    found: list[Topic] = [topic for topic in TOPICS if topic == what]
    if not found:
        expected = ", ".join((*TOPICS, "agent:NODE", "all"))
        raise DeployError(f"found {what!r}, expected one of {expected}")
    return found


class Planned(msgspec.Struct, kw_only=True, frozen=True):
    """``going_on``: what a rotation that a crash cut short has still to do, which comes first.

    ``secrets``: the files in ``secrets/`` that change. ``restarts``: whether programs start anew, slot after slot.
    """

    topics: list[str]
    going_on: list[str]
    secrets: list[str]
    restarts: bool


def planned(place: Place, what: str) -> Planned:
    """What :func:`rotate_named` would do. Changes nothing. Raises :class:`DeployError`."""
    if what.startswith("agent:"):
        return Planned(topics=[what], going_on=[], secrets=[], restarts=False)
    topics, cut_short = _topics(what), _cut_short(place)
    lines = _lines(place)
    changed = {
        name
        for phase in PHASES
        for name in rotation.after(phase, topics, lines, rotation.before(lines), _means(place))
    }
    return Planned(
        topics=list(topics),
        going_on=list(cut_short.topics) if cut_short else [],
        secrets=sorted(changed),
        restarts=not READ_AT_START.isdisjoint(topics),
    )


def _ask_agent(place: Place, progress: Progress, node: str) -> str:
    """The host takes a new token at its next poll; the old one stays valid for a short overlap."""
    current = Releases(place.directory).current()
    if current is None:
        raise DeployError(
            "found no release that serves; expected one. Bring one with `remotegpu site deploy`."
        )
    progress("rotate", f"ask {node} to take a new token")
    compose = Compose(place.directory)
    command = ("remotegpu", "server", "rotate-agent-token", node)
    runner.run(compose.execute(f"backend-{current.slot}", *command))
    return f"agent:{node}"


def _cut_short(place: Place) -> Work | None:
    run = Journal(place.directory).unfinished(KIND)
    return msgspec.json.decode(run.entries[0].detail, type=Work) if run else None


def _carry_out(place: Place, work: Work, progress: Progress) -> None:
    runs = {run.run: run for run in Journal(place.directory).runs()}
    done = runs[work.run].done
    for phase in PHASES:
        if phase not in done:
            _note(place, work, phase, "begun")
            _act(place, work, phase, progress)
            _note(place, work, phase, "done")
    _note(place, work, END, "done")


def _act(place: Place, work: Work, phase: Phase, progress: Progress) -> None:
    progress("rotate", f"{phase}: {', '.join(work.topics)}")
    deployment = _restart(place, progress, f"rotate {', '.join(work.topics)}: {phase}")
    restarts = not READ_AT_START.isdisjoint(work.topics)
    if phase == "retire" and restarts:  # nobody uses the old ones any more, but what waits in reserve would
        watching.drain(deployment, deployment.plan.slot)
        watching.stop_slot(deployment, deployment.plan.slot)
    changed = rotation.after(phase, work.topics, _lines(place), work.before, _means(place))
    for name, lines in changed.items():
        secrets.write(place.originals, name, lines)
    _tell_the_stores(deployment, work.topics, _lines(place))
    keeping.keep(place, deployment.bundle, utc_now())
    if (phase == "use" and restarts) or (phase == "announce" and "jwt" in work.topics):
        deploy.carry_out(deploy.begin(deployment), progress)
    if "encryption-key" in work.topics:
        _tell_the_backups(deployment, phase)


def _restart(place: Place, progress: Progress, why: str) -> Deployment:
    """The release that serves, once more, in the other slot."""
    cut_short = deploy.unfinished(place, progress)
    if cut_short:
        deploy.take_back(cut_short, progress, "the rotation begins its step again")
    current = Releases(place.directory).current()
    assert current
    return deploy.prepare_rollback(place, current, progress, why=why, kind="restart")


def _tell_the_stores(deployment: Deployment, topics: Sequence[Topic], lines: rotation.Lines) -> None:
    """Database and Redis accept what the secrets say now, without a restart."""
    steps.write_secrets(deployment)
    if "db" in topics:
        steps.make_roles(deployment)
    if "redis" in topics:
        for name, user in REDIS.items():
            hashes = [f"'#{rotation.fingerprint(line)}'" for line in lines[name]]  # bare, it is a comment
            set_user = f"ACL SETUSER {user} resetpass {' '.join(hashes)}"
            as_operator = (
                'REDISCLI_AUTH="$(cat /run/secrets/redis_operator_password)" '
                f"redis-cli -e --user operator {set_user}"
            )
            runner.run(deployment.compose.execute("redis", "sh", "-c", as_operator))


def _tell_the_backups(deployment: Deployment, phase: Phase) -> None:
    """The repository of a key is there before the key is used; what came before it is in a base backup right after."""
    wait = ("--wait", str(steps.BACKUP_WAIT_S), "--json")
    if phase == "announce":
        _backups(deployment, "prepare-next-key", *wait)
    elif phase == "use":
        deployment.progress("backup", "a base backup with the new key")
        _backups(deployment, "run", "--kind", "base", "--why", "a new encryption key", *wait)


def _backups(deployment: Deployment, *arguments: str) -> None:
    command = (safety.PROGRAM, "backups", *arguments)
    runner.run(deployment.compose.execute("backup", *command, timeout_s=safety.BACKUP_S))


def _means(place: Place) -> rotation.Means:
    return rotation.Means(
        new=_new,
        now=utc_now(),
        token_lifetime=TOKEN_LIFETIME,
        backup_window=timedelta(days=place.config.backup.wal_days),
    )


def _new() -> str:
    return random.token_hex(32)


def _note(place: Place, work: Work, step: str, state: State, detail: str = "") -> None:
    Journal(place.directory).write(
        Entry(at=utc_now(), run=work.run, what=KIND, step=step, state=state, detail=detail)
    )
