"""What Prometheus is told of the backups, read from what is on disk: also of those that somebody made by hand."""

import shutil
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from remotegpu.site.backups import drill, outbox, outcomes, wal
from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.manifests import KINDS, Manifest
from remotegpu.site.backups.settings import Settings
from remotegpu.site.backups.store import Store

PREFIX = "remotegpu_backup_"
KIND = ("kind",)
CHANNEL = ("channel",)
FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "last_success_timestamp_seconds": ("When the newest backup was finished.", KIND),
    "last_failure_timestamp_seconds": ("When a backup failed last.", KIND),
    "healthy": ("Whether the last attempt succeeded.", KIND),
    "last_duration_seconds": ("How long the newest backup took.", KIND),
    "last_size_bytes": ("Bytes the newest backup takes.", KIND),
    "kept": ("How many backups there are.", KIND),
    "objects_held_back": ("Vanished objects that the deletion guard keeps.", ()),
    "verify_healthy": ("Whether the last verification found everything whole.", ()),
    "verify_last_success_timestamp_seconds": ("When everything was found whole last.", ()),
    "offsite_healthy": ("Whether everything could be sent off site the last time.", ()),
    "offsite_last_success_timestamp_seconds": ("When everything was off site last.", ()),
    "drill_passed": ("Whether the last drill passed.", ()),
    "drill_last_success_timestamp_seconds": ("When a drill passed last.", ()),
    "drill_rto_seconds": ("Restore time that the last drill measured.", ()),
    "drill_rpo_seconds": ("Archive lag that the last drill found at its beginning.", ()),
    "wal_archive_lag_seconds": ("Seconds of work that the archive lacks: the measured RPO.", ()),
    "wal_archive_failing": ("Whether the last attempt to archive WAL failed.", ()),
    "wal_waiting_segments": ("WAL segments that are full and not archived.", ()),
    "database_up": ("Whether PostgreSQL answers.", ()),
    "notifications_sent_total": ("Messages that an alert channel took.", CHANNEL),
    "notifications_failed_total": ("Attempts to send a message that failed.", CHANNEL),
    "notifications_given_up_total": ("Messages that were too old or too many to be sent.", CHANNEL),
    "notifications_waiting": ("Messages that are to be sent, or sent again.", CHANNEL),
    "notifications_healthy": ("Whether the last attempt to send one succeeded.", CHANNEL),
    "disk_free_bytes": ("Bytes free where backups and scratch clusters are.", ("folder",)),
}
"""Every metric there is, without the prefix: help, labels."""

Sample = tuple[str, tuple[str, ...], float]
"""Name without prefix, values of its labels, value."""


class Backups(Collector):
    """Looks when it is asked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def describe(self) -> list[Metric]:
        """Nothing to look at yet: the registry need not ask for the figures."""
        return []

    def collect(self) -> Iterator[Metric]:
        families = {
            name: (CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily)(
                PREFIX + name, text, labels=labels
            )
            for name, (text, labels) in FAMILIES.items()
        }
        for name, labels, value in samples(self._settings):
            families[name].add_metric(labels, value)
        yield from families.values()


def serve(settings: Settings) -> None:
    """``/metrics`` on all of the container's addresses, from a thread of its own."""
    registry = CollectorRegistry()
    registry.register(Backups(settings))
    start_http_server(settings.metrics_port, registry=registry)


def samples(settings: Settings) -> Iterator[Sample]:
    found = Store(settings.backup_dir).all()
    for kind in KINDS:
        yield from _of_kind(settings, kind, [each for each in found if each.kind == kind])
    yield from _of_checks(settings)
    yield from _of_wal(settings)
    yield from _of_channels(settings)
    for name, folder in (("backups", settings.backup_dir), ("scratch", settings.scratch_dir)):
        if folder.is_dir():
            yield "disk_free_bytes", (name,), shutil.disk_usage(folder).free


def _of_kind(settings: Settings, kind: str, found: list[Manifest]) -> Iterator[Sample]:
    outcome = outcomes.read(settings.backup_dir, kind)
    yield "kept", (kind,), len(found)
    if outcome.failed_at is not None:
        yield "last_failure_timestamp_seconds", (kind,), outcome.failed_at.timestamp()
    if outcome.failed_at is not None or outcome.succeeded_at is not None:
        yield "healthy", (kind,), float(outcome.is_well)
    if found:
        newest = found[-1]
        yield "last_success_timestamp_seconds", (kind,), newest.finished_at.timestamp()
        yield "last_duration_seconds", (kind,), newest.duration_s
        yield "last_size_bytes", (kind,), newest.size
        if newest.objects is not None:
            yield "objects_held_back", (), newest.objects.held_back


def _of_checks(settings: Settings) -> Iterator[Sample]:
    for name, jobs in (("verify", ("verify",)), ("offsite", (outcomes.OFFSITE, outcomes.OFFSITE_OBJECTS))):
        tried = [one for one in (outcomes.read(settings.backup_dir, job) for job in jobs) if one.was_tried]
        if tried:
            yield f"{name}_healthy", (), float(all(one.is_well for one in tried))
        succeeded = [one.succeeded_at for one in tried if one.succeeded_at is not None]
        if succeeded and len(succeeded) == len(tried):
            yield f"{name}_last_success_timestamp_seconds", (), min(succeeded).timestamp()
    drills = drill.results(settings.backup_dir)
    if not drills:
        return
    last = drills[-1]
    yield "drill_passed", (), float(last.passed)
    for name, value in (("drill_rto_seconds", last.rto_s), ("drill_rpo_seconds", last.rpo_s)):
        if value is not None:
            yield name, (), value
    passed = [each.finished_at for each in drills if each.passed]
    if passed:
        yield "drill_last_success_timestamp_seconds", (), max(passed).timestamp()


def _of_wal(settings: Settings) -> Iterator[Sample]:
    try:
        status = wal.status(settings)
    except BackupError:
        yield "database_up", (), 0.0
        return
    yield "database_up", (), 1.0
    yield "wal_archive_lag_seconds", (), status.lag_s
    yield "wal_archive_failing", (), float(status.failing)
    yield "wal_waiting_segments", (), status.waiting


def _of_channels(settings: Settings) -> Iterator[Sample]:
    state = outbox.read(settings.backup_dir)
    for channel in settings.alerts.channels:
        labels, told = (channel.name,), state.channels.get(channel.name, outbox.Deliveries())
        yield "notifications_sent_total", labels, told.sent
        yield "notifications_failed_total", labels, told.failed
        yield "notifications_given_up_total", labels, told.given_up
        yield "notifications_waiting", labels, sum(one.channel == channel.name for one in state.waiting)
        yield "notifications_healthy", labels, float(told.is_well)
