"""Whether anybody hears of it when something fails."""

from collections.abc import Iterator
from datetime import datetime

from remotegpu.site.status.facts import AlertChannel, Unknown
from remotegpu.site.status.items import Item
from remotegpu.site.status.judging.wording import ago, not_seen

GROUP = "alerts"


def judge(channels: tuple[AlertChannel, ...] | Unknown, now: datetime) -> Iterator[Item]:
    if isinstance(channels, Unknown):
        yield not_seen(GROUP, channels)
        return
    if not channels:
        remedy = "Name a channel in alerts.channels of remotegpu.yaml, then: remotegpu site alerts test"
        found = "no channel is named: nobody is told when a backup or drill fails"
        yield Item(name=GROUP, level="warning", found=found, remedy=remedy)
    for channel in channels:
        yield _channel(channel, now)


def _channel(channel: AlertChannel, now: datetime) -> Item:
    name = f"{GROUP} {channel.name}"
    if channel.error and channel.last_failed_at:
        said = f"refused {ago(channel.last_failed_at, now)}, {channel.waiting} messages wait: {channel.error}"
        remedy = f"Mend what it says, then: remotegpu site alerts test {channel.name}"
        return Item(name=name, level="problem", found=said, remedy=remedy, group=GROUP)
    said = (
        f"took {channel.sent} messages, the last {ago(channel.last_sent_at, now)}"
        if channel.last_sent_at
        else ""
    )
    return Item(name=name, level="ok", found=said or "nothing had to be told yet", group=GROUP)
