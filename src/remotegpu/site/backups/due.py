"""When which job is due. Pure: the time and what happened before come in as arguments."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Literal

import msgspec

Name = Literal["daily", "redis", "objects", "drill", "verify"]

ATTEMPTS = 3
"""For one due time. After so many failures the next due time is waited for."""
RETRY_AFTER = timedelta(minutes=10)
BUSY_RETRY_AFTER = timedelta(minutes=1)


class Job(msgspec.Struct, kw_only=True, frozen=True):
    """``at``: once a day then, on the site's clock; None: every hour, on the hour.

    ``weekday``: only on that day, Monday being 0; None: on every day.
    ``at_first``: whether it is done at once on a site that never did it.
    """

    name: Name
    at: time | None
    weekday: int | None = None
    at_first: bool = True


class Progress(msgspec.Struct, kw_only=True, frozen=True):
    """What was done about one job. ``handled``: the latest due time that needs nothing more.

    ``attempts`` failed for the due time after that, and ``not_before`` is when the next may begin.
    """

    handled: datetime | None = None
    attempts: int = 0
    not_before: datetime | None = None


def last_due(job: Job, now: datetime, zone: tzinfo) -> datetime:
    """The latest moment, now or before, at which the job was to be done, in UTC.

    A time that the clock skips in spring is due an hour later; one that it passes twice in autumn is due once.
    """
    if job.at is None:
        return now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return max(moment for moment in _moments(job, job.at, now, zone) if moment <= now)


def _moments(job: Job, at: time, now: datetime, zone: tzinfo) -> list[datetime]:
    """Its due times of the weeks around ``now``."""
    today = now.astimezone(zone).date()
    days = (today + timedelta(days=offset) for offset in range(-8, 9))
    return [
        datetime.combine(day, at, tzinfo=zone).astimezone(UTC)
        for day in days
        if job.weekday is None or day.weekday() == job.weekday
    ]


def next_due(job: Job, now: datetime, zone: tzinfo) -> datetime:
    """The first moment after now, in UTC."""
    if job.at is None:
        return last_due(job, now, zone) + timedelta(hours=1)
    return min(moment for moment in _moments(job, job.at, now, zone) if moment > now)


def due(jobs: Sequence[Job], progress: Mapping[str, Progress], now: datetime, zone: tzinfo) -> list[Job]:
    """What is to be done now, in the order of ``jobs``. After a pause each is due once, however long it was."""
    return [job for job in jobs if _is_due(job, progress.get(job.name), now, zone)]


def _is_due(job: Job, done: Progress | None, now: datetime, zone: tzinfo) -> bool:
    if done is None or (done.handled is None and done.not_before is None):
        return job.at_first
    if done.not_before is not None and now < done.not_before:
        return False
    return done.handled is None or done.handled < last_due(job, now, zone)


def first_seen(job: Job, now: datetime, zone: tzinfo) -> Progress:
    """For a job that waits for its first due time."""
    return Progress(handled=last_due(job, now, zone))


def succeeded(job: Job, began: datetime, zone: tzinfo) -> Progress:
    return Progress(handled=last_due(job, began, zone))


def failed(job: Job, before: Progress, began: datetime, now: datetime, zone: tzinfo) -> Progress:
    """Tried again a little later, but not for ever."""
    if before.attempts + 1 >= ATTEMPTS:
        return Progress(handled=last_due(job, began, zone))
    return Progress(handled=before.handled, attempts=before.attempts + 1, not_before=now + RETRY_AFTER)


def busy(before: Progress, now: datetime) -> Progress:
    """Somebody else was at work: that is no failure."""
    return Progress(handled=before.handled, attempts=before.attempts, not_before=now + BUSY_RETRY_AFTER)


def wait_s(
    jobs: Sequence[Job], progress: Mapping[str, Progress], now: datetime, zone: tzinfo, longest: float
) -> float:
    """Seconds until something is due, at most ``longest``: a clock that was set is noticed by then."""
    moments = [next_due(job, now, zone) for job in jobs]
    moments += [
        each.not_before for each in progress.values() if each.not_before is not None and each.not_before > now
    ]
    return max(0.0, min([longest, *((moment - now).total_seconds() for moment in moments)]))
