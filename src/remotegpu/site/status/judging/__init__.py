"""What was found -> how good that is, and what to do about it. Pure: limits and the time come in as arguments."""

from collections.abc import Iterator

from remotegpu.site.status.facts import Facts
from remotegpu.site.status.items import Item, Report
from remotegpu.site.status.judging import (
    alerts,
    backups,
    changes,
    components,
    containers,
    door,
    release,
    room,
    upkeep,
)


def judge(facts: Facts) -> Report:
    """Everything, in the order in which it is read."""
    return Report(site=facts.site, at=facts.now, items=tuple(_items(facts)))


def _items(facts: Facts) -> Iterator[Item]:
    yield changes.lock(facts.holder, facts.now)
    yield changes.journal(facts.last_run, is_held=facts.holder is not None)
    yield release.serving(facts.release, facts.named_version)
    yield from release.drift(facts)
    yield from containers.judge(facts.services, facts.containers, facts.release, facts.now)
    yield from door.judge(facts.door, facts.now)
    yield from upkeep.inner_certificates(facts.certificates, facts.now)
    yield from room.judge(facts.disks)
    yield from backups.judge(facts.backups, facts.now)
    yield backups.archive(facts.archive)
    yield from alerts.judge(facts.alerts, facts.now)
    yield upkeep.migrations(facts.pending)
    yield upkeep.secrets(facts.secrets, facts.now)
    yield from upkeep.retired_keys(facts.retired_keys, facts.now)
    yield from components.judge(facts.components, facts.now.date())
    yield components.stand_ins(facts.images)
