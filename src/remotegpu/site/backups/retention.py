"""Which backups have been kept long enough. Pure."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from remotegpu.site.backups.manifests import KINDS, Kind, Manifest

REDIS_DAYS = 7
"""Section 5.1 of the deployment plan: hourly copies for a week."""


def expired(
    backups: Sequence[Manifest],
    *,
    now: datetime,
    keep_days: int,
    damaged: Collection[str] = (),
    base_labels: Collection[str] | None = None,
) -> list[Manifest]:
    """Those to remove, oldest first: never the newest good one of a kind, however old it is.

    ``damaged``: ids of backups that are not good. ``base_labels``: what pgBackRest still has, which expires its own;
    a record of one that it has no longer goes. None: it could not be asked, so all records stay.
    """
    found: list[Manifest] = []
    for kind in KINDS:
        of_kind = sorted((each for each in backups if each.kind == kind), key=lambda each: each.id)
        good = [each for each in of_kind if each.id not in damaged]
        last = good[-1:] or of_kind[-1:]
        found += [
            each for each in of_kind if each not in last and _is_over(each, kind, now, keep_days, base_labels)
        ]
    return sorted(found, key=lambda each: each.id)


def _is_over(
    backup: Manifest, kind: Kind, now: datetime, keep_days: int, base_labels: Collection[str] | None
) -> bool:
    if kind == "base":
        return backup.base is not None and base_labels is not None and backup.base.label not in base_labels
    days = REDIS_DAYS if kind == "redis" else keep_days
    return now - backup.finished_at > timedelta(days=days)
