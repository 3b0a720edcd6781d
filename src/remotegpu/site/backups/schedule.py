"""The long-running program of the ``backup`` container: does what is due, one after the other, and says how it went."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import structlog

from remotegpu.kit import file_lock, files
from remotegpu.kit.channels import sending
from remotegpu.kit.clock import utc_now
from remotegpu.site.backups import drill, due, making, metrics, outcomes, upkeep, wal
from remotegpu.site.backups.due import Job, Progress
from remotegpu.site.backups.errors import BackupError, NotGoodError, UsageError
from remotegpu.site.backups.manifests import Kind
from remotegpu.site.backups.notices import Speaker
from remotegpu.site.backups.settings import Settings
from remotegpu.site.backups.telling import Teller
from remotegpu.site.backups.work import restoring, writing
from remotegpu.site.lock import SiteBusyError

STATE = ".state/schedule.json"
LOCK = ".state/schedule.lock"
LONGEST_WAIT_S = 30.0
HAND_OVER_S = 15.0
"""How often it is seen to that the archive does not fall behind."""
WHY = "schedule"
SUNDAY = 6

log: Any = structlog.get_logger()  # Any: structlog's loggers are made when first used


def jobs(settings: Settings) -> list[Job]:
    """In the order in which they are done when several are due. A drill needs backups, so it waits for its time."""
    wanted = [Job(name="daily", at=settings.daily_at)]
    if settings.redis is not None:
        wanted.append(Job(name="redis", at=None))
    if settings.objects is not None:
        wanted.append(Job(name="objects", at=settings.objects_at))
    wanted.append(Job(name="drill", at=settings.drill_at, at_first=False))
    return [*wanted, Job(name="verify", at=settings.drill_at, weekday=SUNDAY, at_first=False)]


def run(settings: Settings, *, once: bool) -> None:
    """Until it is told to end; ``once``: what is due now. Raises :class:`UsageError` when one runs already."""
    configure_log()
    files.make_directory((settings.backup_dir / LOCK).parent)
    try:
        with file_lock.held(settings.backup_dir / LOCK, {"since": utc_now().isoformat()}):
            teller = teller_of(settings)
            if not once:
                metrics.serve(settings)
                threading.Thread(target=_keep_handing_over, args=(settings,), daemon=True).start()
                threading.Thread(target=teller.keep_delivering, daemon=True).start()
            log.info(
                "schedule began",
                jobs=[job.name for job in jobs(settings)],
                metrics_port=settings.metrics_port,
                channels=[channel.name for channel in settings.alerts.channels],
            )
            _go_on(settings, teller, once=once)
            teller.deliver()
    except file_lock.LockedError as error:
        since = error.holder.get("since", "?")
        raise UsageError(f"found a schedule at work since {since}, expected one at most for a site") from None


def teller_of(settings: Settings) -> Teller:
    return Teller(settings.backup_dir, settings.alerts.channels, speaker_of(settings), sending.send)


def speaker_of(settings: Settings) -> Speaker:
    alerts = settings.alerts
    return Speaker(site=settings.site, language=alerts.language, zone=settings.zone, link=alerts.link)


def _keep_handing_over(settings: Settings) -> None:
    """Beside the jobs, which may take hours."""
    while True:
        try:
            if wal.hand_over(settings):
                log.info("new WAL segment begun, so that the archive does not fall behind")
        except (BackupError, psycopg.Error) as error:
            log.warning("cannot see to the archive", error=str(error))
        time.sleep(HAND_OVER_S)


def _go_on(settings: Settings, teller: Teller, *, once: bool) -> None:
    """One turn after the other."""
    path = settings.backup_dir / STATE
    wanted = jobs(settings)
    progress = remember(path, wanted, settings)
    while True:
        for job in due.due(wanted, progress, utc_now(), settings.zone):
            progress[job.name] = _attempt(settings, teller, job, progress.get(job.name, Progress()))
            _keep(path, progress)
        if once:
            return
        time.sleep(due.wait_s(wanted, progress, utc_now(), settings.zone, LONGEST_WAIT_S))


def remember(path: Path, wanted: Sequence[Job], settings: Settings) -> dict[str, Progress]:
    """What was done before; for what is new and has time, as if its last due time had been handled."""
    try:
        progress = msgspec.json.decode(path.read_bytes(), type=dict[str, Progress])
    except (FileNotFoundError, msgspec.MsgspecError):
        progress = {}
    for job in wanted:
        if job.name not in progress and not job.at_first:
            progress[job.name] = due.first_seen(job, utc_now(), settings.zone)
    save(path, progress)
    return progress


def _keep(path: Path, progress: dict[str, Progress]) -> None:
    """A full disk stops no backup that needs none, and nobody from being told of it."""
    try:
        save(path, progress)
    except OSError as error:
        log.warning("cannot keep what was done", error=str(error))


def save(path: Path, progress: dict[str, Progress]) -> None:
    files.write_private(path, msgspec.json.encode(progress))


def _attempt(settings: Settings, teller: Teller, job: Job, before: Progress) -> Progress:
    began = utc_now()
    log.info("job began", job=job.name)
    try:
        WORK[job.name](settings)
    except SiteBusyError as error:
        log.info("job waits", job=job.name, reason=str(error))
        return due.busy(before, utc_now())
    except Exception as error:  # noqa: BLE001 - whatever it is, the other jobs go on; it is in the log and the metrics
        _report(job, error, began)
        after = due.failed(job, before, began, utc_now(), settings.zone)
        teller.job_failed(job.name, str(error), began, is_final=after.attempts == 0)
        return after
    teller.job_worked(job.name)
    log.info("job done", job=job.name, seconds=_since(began))
    return due.succeeded(job, began, settings.zone)


def _report(job: Job, error: Exception, began: datetime) -> None:
    unknown = None if isinstance(error, BackupError) else error
    log.error("job failed", job=job.name, error=str(error), exc_info=unknown, seconds=_since(began))


def _since(began: datetime) -> float:
    return round((utc_now() - began).total_seconds(), 3)


def _say(text: str) -> None:
    log.info("progress", step=text)


def _back_up(*kinds: Kind) -> Callable[[Settings], None]:
    def work(settings: Settings) -> None:
        for made in making.make(settings, kinds, why=WHY, say=_say):
            log.info("backup made", kind=made.kind, id=made.id, bytes=made.size, seconds=made.duration_s)

    return work


def _daily(settings: Settings) -> None:
    _back_up("database", "base")(settings)
    now = utc_now()
    with restoring(settings, "pruning of backups", now), writing(settings, "pruning", now) as found:
        gone = upkeep.prune(settings, found, now, _say, dry_run=False)
    backups = [each.id for each in gone.backups]
    log.info("pruned", backups=backups, contents=gone.contents, repositories=gone.repositories)


def _drill(settings: Settings) -> None:
    with outcomes.recorded(settings.backup_dir, "drill"):
        result = drill.drill(settings, _say)
        if not result.passed:
            raise NotGoodError("; ".join(result.reasons))
    log.info("drill passed", rto_s=result.rto_s, rpo_s=result.rpo_s)


def _verify(settings: Settings) -> None:
    with outcomes.recorded(settings.backup_dir, "verify"):
        bad = [each for each in upkeep.verify(settings, None, _say) if each.problems]
        if bad:
            raise NotGoodError("; ".join(problem for each in bad for problem in each.problems))


WORK: dict[str, Callable[[Settings], None]] = {
    "daily": _daily,
    "redis": _back_up("redis"),
    "objects": _back_up("objects"),
    "drill": _drill,
    "verify": _verify,
}


def configure_log() -> None:
    """One JSON object per line on stdout: time, level, msg, then context, as every program of the product."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("msg"),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )
