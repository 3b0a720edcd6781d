"""Every job is done once per due time: in spring, in autumn, after a pause, after failures."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from remotegpu.site.backups import due
from remotegpu.site.backups.due import Job, Progress

DAILY = Job(name="daily", at=time(2, 30))
HOURLY = Job(name="redis", at=None)
DRILL = Job(name="drill", at=time(4), at_first=False)
BERLIN = ZoneInfo("Europe/Berlin")
SHANGHAI = ZoneInfo("Asia/Shanghai")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-24T18:29:59", "2026-11-23T18:30:00"),
        ("2026-11-24T18:30:00", "2026-11-24T18:30:00"),
        ("2026-11-24T23:00:00", "2026-11-24T18:30:00"),
    ],
)
def test_a_daily_job_is_due_on_the_clock_of_the_site(now: str, expected: str) -> None:
    assert due.last_due(DAILY, utc(now), SHANGHAI) == utc(expected)


def test_a_time_that_spring_skips_is_due_once_and_one_that_autumn_repeats_too() -> None:
    for day in ("2026-03-29T00:00:00", "2026-10-25T00:00:00"):
        start = utc(day) - timedelta(hours=3)
        moments = {
            due.last_due(DAILY, start + timedelta(minutes=step), BERLIN) for step in range(0, 1440, 10)
        }
        assert len({moment for moment in moments if moment >= start}) == 1


def test_after_a_long_pause_each_job_is_due_once() -> None:
    now = utc("2026-11-24T12:34:00")
    long_ago = Progress(handled=utc("2026-10-01T02:30:00"))
    progress = {"daily": long_ago, "redis": long_ago}
    assert due.due([DAILY, HOURLY], progress, now, UTC) == [DAILY, HOURLY]
    done = {job.name: due.succeeded(job, now, UTC) for job in (DAILY, HOURLY)}
    assert due.due([DAILY, HOURLY], done, now, UTC) == []
    assert due.due([DAILY, HOURLY], done, now + timedelta(minutes=26), UTC) == [HOURLY]


def test_a_weekly_job_is_due_on_its_day() -> None:
    weekly = Job(name="verify", at=time(4), weekday=6, at_first=False)
    tuesday = utc("2026-11-24T12:00:00")
    assert due.last_due(weekly, tuesday, UTC) == utc("2026-11-22T04:00:00")
    assert due.next_due(weekly, tuesday, UTC) == utc("2026-11-29T04:00:00")
    done = {"verify": due.first_seen(weekly, tuesday, UTC)}
    assert due.due([weekly], done, utc("2026-11-29T03:59:59"), UTC) == []
    assert due.due([weekly], done, utc("2026-11-30T12:00:00"), UTC) == [weekly]


def test_a_job_that_runs_past_its_next_due_time_is_due_again() -> None:
    began = utc("2026-11-24T11:59:00")
    done = {"redis": due.succeeded(HOURLY, began, UTC)}
    assert due.due([HOURLY], done, utc("2026-11-24T12:01:00"), UTC) == [HOURLY]


def test_a_new_site_backs_up_at_once_and_drills_at_its_time() -> None:
    now = utc("2026-11-24T12:00:00")
    progress = {"drill": due.first_seen(DRILL, now, UTC)}
    assert due.due([DAILY, DRILL], progress, now, UTC) == [DAILY]
    assert due.due([DRILL], progress, utc("2026-11-25T04:00:00"), UTC) == [DRILL]


def test_a_failed_job_is_tried_again_later_and_not_for_ever() -> None:
    began = utc("2026-11-24T02:30:00")
    progress, tried = Progress(handled=began - timedelta(days=1)), 0
    now = began
    while now < began + timedelta(hours=20):
        if due.due([DAILY], {"daily": progress}, now, UTC):
            tried += 1
            progress = due.failed(DAILY, progress, now, now + timedelta(seconds=5), UTC)
        now += timedelta(minutes=1)
    assert tried == due.ATTEMPTS
    assert due.due([DAILY], {"daily": progress}, began + timedelta(days=1), UTC) == [DAILY]


def test_a_failure_on_a_new_site_is_tried_again_too() -> None:
    now = utc("2026-11-24T12:00:00")
    once = due.failed(DAILY, Progress(), now, now, UTC)
    assert due.due([DAILY], {"daily": once}, now + timedelta(minutes=1), UTC) == []
    assert due.due([DAILY], {"daily": once}, now + due.RETRY_AFTER, UTC) == [DAILY]


def test_somebody_else_at_work_is_no_failure() -> None:
    now = utc("2026-11-24T02:30:00")
    progress = Progress(handled=now - timedelta(days=1))
    for _ in range(20):
        progress = due.busy(progress, now)
        assert due.due([DAILY], {"daily": progress}, now, UTC) == []
        now += due.BUSY_RETRY_AFTER
        assert due.due([DAILY], {"daily": progress}, now, UTC) == [DAILY]
    assert progress.attempts == 0


def test_the_wait_ends_with_the_first_thing_that_is_due() -> None:
    now = utc("2026-11-24T02:29:50")
    done = {"daily": Progress(handled=now - timedelta(hours=23)), "redis": Progress(handled=now)}
    assert due.wait_s([DAILY, HOURLY], done, now, UTC, 30) == pytest.approx(10)
    retry = {"redis": Progress(handled=now, not_before=now + timedelta(seconds=3))}
    assert due.wait_s([HOURLY], retry, now, UTC, 30) == pytest.approx(3)
    assert due.wait_s([HOURLY], {}, now, UTC, 30) == pytest.approx(30)
