"""Backups that come, are late, or fail; drills; the archive of WAL."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from remotegpu.site.backups.drill import Drill
from remotegpu.site.backups.manifests import Kind, Manifest
from remotegpu.site.backups.outcomes import OFFSITE, OFFSITE_OBJECTS, Outcome
from remotegpu.site.backups.wal import WalStatus
from remotegpu.site.status.facts import Backups, Unknown
from remotegpu.site.status.items import Item
from remotegpu.site.status.judging import backups

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def made(kind: Kind, age: timedelta) -> Manifest:
    at = NOON - age
    return Manifest(
        id=f"{at:%Y%m%dT%H%M%SZ}-abcdef",
        kind=kind,
        site="acme",
        started_at=at - timedelta(minutes=1),
        finished_at=at,
        duration_s=60,
        why="",
        release="v1.2.0",
        tool="0.1.0",
    )


DRILL = Drill(
    id="d",
    started_at=NOON - 8 * HOUR,
    finished_at=NOON - 7 * HOUR,
    passed=True,
    rto_s=42.4,
    rpo_s=3.2,
    dump=None,
    moment=None,
    error="",
)
FRESH = Backups(
    kinds=("database", "redis"),
    since=NOON - timedelta(days=30),
    newest={"database": made("database", 10 * HOUR), "redis": made("redis", HOUR / 2)},
    outcomes={},
    drills=(DRILL,),
)


def judged(found: Backups) -> dict[str, Item]:
    return {item.name: item for item in backups.judge(found, NOON)}


def test_fresh_backups_and_a_passed_drill_are_well() -> None:
    items = judged(FRESH)
    assert {item.level for item in items.values()} == {"ok"}
    assert (
        items["drill"].found == "passed 7 hours ago, back within 42 s (RTO), 3 s of work not archived (RPO)"
    )


@pytest.mark.parametrize(
    ("kind", "age", "level"),
    [
        ("database", 25 * HOUR, "ok"),
        ("database", 27 * HOUR, "warning"),
        ("database", 51 * HOUR, "problem"),
        ("redis", 2.5 * HOUR, "ok"),
        ("redis", 3.5 * HOUR, "warning"),
        ("redis", 5 * HOUR, "problem"),
    ],
)
def test_one_missed_run_is_a_warning_and_two_are_a_problem(kind: Kind, age: timedelta, level: str) -> None:
    newest = FRESH.newest | {kind: made(kind, age)}
    assert judged(replace(FRESH, newest=newest))[f"backup {kind}"].level == level


@pytest.mark.parametrize(
    ("old", "level"), [(HOUR, "warning"), (30 * HOUR, "warning"), (60 * HOUR, "problem")]
)
def test_a_new_site_gets_time_for_its_first_backup(old: timedelta, level: str) -> None:
    item = judged(replace(FRESH, since=NOON - old, newest={}))["backup database"]
    assert (item.level, item.found) == (level, "none yet")


def test_a_failed_attempt_is_a_problem_although_a_good_one_is_fresh() -> None:
    failed = Outcome(
        job="database", succeeded_at=NOON - 20 * HOUR, failed_at=NOON - HOUR, error="disk full\nmore"
    )
    item = judged(replace(FRESH, outcomes={"database": failed}))["backup database"]
    assert item.level == "problem"
    assert "disk full; newest good one: 10 hours ago" in item.found
    mended = msgspec.structs.replace(failed, succeeded_at=NOON)
    assert judged(replace(FRESH, outcomes={"database": mended}))["backup database"].level == "ok"


def test_a_drill_has_to_have_passed_and_lately() -> None:
    failed = msgspec.structs.replace(DRILL, passed=False, error="12 rows are missing in tasks")
    item = judged(replace(FRESH, drills=(DRILL, failed)))["drill"]
    assert item.level == "problem"
    assert "12 rows are missing in tasks" in item.found
    assert judged(replace(FRESH, drills=(failed, DRILL)))["drill"].level == "ok"
    old = msgspec.structs.replace(DRILL, finished_at=NOON - 37 * HOUR)
    assert judged(replace(FRESH, drills=(old,)))["drill"].level == "problem"


def test_a_site_without_a_drill_is_warned_and_then_told() -> None:
    assert judged(replace(FRESH, drills=()))["drill"].level == "problem"
    young = replace(FRESH, drills=(), since=NOON - 30 * HOUR)
    assert judged(young)["drill"].level == "warning"
    tried = replace(young, outcomes={"drill": Outcome(job="drill", failed_at=NOON, error="no room")})
    assert judged(tried)["drill"].level == "problem"


def archive(**parts: object) -> WalStatus:
    values = {
        "at": NOON,
        "lsn": "0/3000000",
        "archive_mode": "on",
        "archive_timeout": "1min",
        "archived": 10,
        "last_archived_wal": "000000010000000000000002",
        "last_archived_at": NOON,
        "failed": 0,
        "last_failed_wal": "",
        "last_failed_at": None,
        "last_commit_at": NOON,
        "waiting": 0,
        "failing": False,
        "exact": True,
        "lag_s": 12.0,
    } | parts
    return WalStatus(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(("lag_s", "level"), [(119, "ok"), (121, "warning"), (301, "problem")])
def test_the_archive_may_be_a_little_behind(lag_s: float, level: str) -> None:
    assert backups.archive(archive(lag_s=lag_s)).level == level


def test_a_failing_archive_is_a_problem_before_anything_is_late() -> None:
    item = backups.archive(archive(failing=True, failed=34, last_failed_wal="000000010000000000000003"))
    assert item.level == "problem"
    assert "fails at 000000010000000000000003, 34 times" in item.found


def test_no_answer_is_unknown() -> None:
    assert backups.archive(Unknown("no answer")).level == "unknown"
    (item,) = backups.judge(Unknown("/x may not be read"), NOON)
    assert item.level == "unknown"


def sent(ago: timedelta | None = None, failed: timedelta | None = None) -> Outcome:
    return Outcome(
        job=OFFSITE,
        succeeded_at=None if ago is None else NOON - ago,
        failed_at=None if failed is None else NOON - failed,
        error="" if failed is None else "the bucket cannot be listed\nmore of it",
    )


@pytest.mark.parametrize(
    ("outcome", "level", "said"),
    [
        (sent(HOUR / 2), "ok", "everything was there 30 minutes ago"),
        (sent(HOUR / 2, failed=2 * HOUR), "ok", "everything was there 30 minutes ago"),
        (sent(3.5 * HOUR), "warning", "everything was there 3 hours ago"),
        (sent(5 * HOUR), "problem", "everything was there 5 hours ago"),
        (sent(), "problem", "nothing was sent yet"),
        (
            sent(failed=HOUR),
            "problem",
            "the last attempt failed: the bucket cannot be listed; nothing was sent yet",
        ),
        (
            sent(2 * HOUR, failed=HOUR),
            "problem",
            "the last attempt failed: the bucket cannot be listed; everything was there 2 hours ago",
        ),
    ],
)
def test_a_second_place_that_lacks_something_shows(outcome: Outcome, level: str, said: str) -> None:
    items = judged(replace(FRESH, outcomes={OFFSITE: outcome, OFFSITE_OBJECTS: sent(20 * HOUR)}))
    assert (items["off site"].level, items["off site"].found) == (level, said)
    assert bool(items["off site"].remedy) == (level != "ok")
    assert items["off site objects"].level == "ok"


def test_before_the_first_hour_is_over_nothing_need_be_there() -> None:
    items = judged(replace(FRESH, since=NOON - HOUR / 2, outcomes={OFFSITE: sent()}))
    assert items["off site"].level == "warning"


def test_a_site_without_a_second_place_says_nothing_of_it() -> None:
    assert not [name for name in judged(FRESH) if name.startswith("off site")]
