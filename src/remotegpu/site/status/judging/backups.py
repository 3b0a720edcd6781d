"""Whether there is something to come back from, and whether somebody tried."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from remotegpu.site.backups.drill import Drill
from remotegpu.site.backups.manifests import Kind
from remotegpu.site.backups.outcomes import OFFSITE, OFFSITE_OBJECTS, Outcome
from remotegpu.site.backups.wal import WalStatus
from remotegpu.site.status.facts import Backups, Unknown
from remotegpu.site.status.items import Item, Level
from remotegpu.site.status.judging.wording import ago, length, not_seen

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TAKES = timedelta(hours=2)
"""What making one may take on top of its period."""
PERIODS: dict[Kind, timedelta] = {"database": DAY, "base": DAY, "redis": HOUR, "objects": DAY}
"""How often each is made. One missed is a warning, two are a problem."""
DRILL_AGE = timedelta(hours=36)
LAG_WARNING_S, LAG_PROBLEM_S = 120.0, 300.0
"""WAL is handed over once a minute at the latest: two minutes are late, five are a stuck archive."""


def judge(backups: Backups | Unknown, now: datetime) -> Iterator[Item]:
    if isinstance(backups, Unknown):
        yield not_seen("backups", backups)
        return
    for kind in backups.kinds:
        yield _kind(kind, backups, now)
    yield from off_site(backups.outcomes, backups.since, now)
    yield drill(backups.drills, backups.outcomes.get("drill"), backups.since, now)


def _kind(kind: Kind, backups: Backups, now: datetime) -> Item:
    newest, outcome = backups.newest.get(kind), backups.outcomes.get(kind)
    made = f"{ago(newest.finished_at, now)}, {newest.id}" if newest else "none yet"
    if outcome is not None and not outcome.is_well:
        said = f"the last attempt failed: {_first_line(outcome.error)}; newest good one: {made}"
        return _item(kind, "problem", said, _try(kind))
    reference = newest.finished_at if newest else backups.since
    level = age_level(now - reference, PERIODS[kind]) if reference else "ok"
    if newest is None and level == "ok":
        level = "warning"
    return _item(kind, level, made, "" if level == "ok" else _try(kind))


def age_level(age: timedelta, period: timedelta) -> Level:
    """``period``: how often one is due."""
    if age > 2 * period + TAKES:
        return "problem"
    return "warning" if age > period + TAKES else "ok"


def drill(drills: tuple[Drill, ...], outcome: Outcome | None, since: datetime | None, now: datetime) -> Item:
    """The proof that backups are worth something: the newest has to have passed, and lately."""
    if not drills:
        failed = outcome is not None and not outcome.is_well
        late = since is not None and now - since > DRILL_AGE
        said = (
            f"none yet; the last attempt failed: {_first_line(outcome.error)}"
            if failed and outcome
            else "none yet"
        )
        return _item("drill", "problem" if failed or late else "warning", said, DRILL)
    last = drills[-1]
    if not last.passed:
        said = f"did not pass {ago(last.finished_at, now)}: {_first_line('; '.join(last.reasons))}"
        return _item("drill", "problem", said, DRILL)
    rto = f", back within {last.rto_s:.0f} s (RTO)" if last.rto_s is not None else ""
    rpo = f", {last.rpo_s:.0f} s of work not archived (RPO)" if last.rpo_s is not None else ""
    said = f"passed {ago(last.finished_at, now)}{rto}{rpo}"
    late = now - last.finished_at > DRILL_AGE
    return _item("drill", "problem" if late else "ok", said, DRILL if late else "")


def off_site(outcomes: Mapping[str, Outcome], since: datetime | None, now: datetime) -> Iterator[Item]:
    """Whether another place has what was backed up; nothing where there is none. ``since``: there is something."""
    for job, (name, period, kind) in OFFSITE_JOBS.items():
        outcome = outcomes.get(job)
        if outcome is None:
            continue
        sent = outcome.succeeded_at
        said = f"everything was there {ago(sent, now)}" if sent else "nothing was sent yet"
        if not outcome.is_well:
            said = f"the last attempt failed: {_first_line(outcome.error)}; {said}"
            yield Item(name=name, level="problem", found=said, remedy=_try(kind))
            continue
        reference = sent or since
        level = age_level(now - reference, period) if reference else "ok"
        if sent is None and level == "ok":
            level = "warning"
        yield Item(name=name, level=level, found=said, remedy="" if level == "ok" else _try(kind))


OFFSITE_JOBS: dict[str, tuple[str, timedelta, Kind]] = {
    OFFSITE: ("off site", HOUR, "redis"),
    OFFSITE_OBJECTS: ("off site objects", DAY, "objects"),
}
"""By job: what it is called, how often it is done, and with a backup of which kind."""
DRILL = "Try it now, and read what it says: remotegpu site drill"


def archive(status: WalStatus | Unknown) -> Item:
    """Continuous archiving: what would be lost if the disk died now."""
    if isinstance(status, Unknown):
        return not_seen("wal archive", status)
    said = (
        f"{length(timedelta(seconds=status.lag_s))} of work not archived, {status.waiting} segments waiting"
    )
    if status.failing:
        return Item(
            name="wal archive",
            level="problem",
            found=f"archiving fails at {status.last_failed_wal}, {status.failed} times so far; {said}",
            remedy="Find out why: remotegpu site diagnose database",
        )
    level: Level = "ok" if status.lag_s <= LAG_WARNING_S else "warning"
    if status.lag_s > LAG_PROBLEM_S:
        level = "problem"
    remedy = "" if level == "ok" else "Find out why: remotegpu site diagnose database"
    return Item(name="wal archive", level=level, found=said, remedy=remedy)


def _item(name: str, level: Level, found: str, remedy: str) -> Item:
    return Item(name=name if name == "drill" else f"backup {name}", level=level, found=found, remedy=remedy)


def _try(kind: Kind) -> str:
    return f"Make one now, and read what it says: remotegpu site backup --kind {kind}"


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else "it did not say why"
