"""How telling people goes, as the ``backup`` container keeps it."""

import os

from remotegpu.kit.channels.models import Channel, kind_of
from remotegpu.site.backups import outbox
from remotegpu.site.backups.outbox import Deliveries, State
from remotegpu.site.config import channels
from remotegpu.site.place import Place
from remotegpu.site.status.facts import AlertChannel, Unknown


def look(place: Place) -> tuple[AlertChannel, ...] | Unknown:
    """Those of the configuration; one that is new has told nobody anything yet."""
    named = channels.on_node(place.config)
    root = place.directory / "backups"
    if named and root.is_dir() and not os.access(root, os.R_OK | os.X_OK):
        return Unknown(f"{root} may not be read by uid {os.geteuid()}", "Run it as root (sudo).")
    state = outbox.read(root)
    return tuple(of_channel(channel, state) for channel in named)


def of_channel(channel: Channel, state: State) -> AlertChannel:
    told = state.channels.get(channel.name, Deliveries())
    return AlertChannel(
        name=channel.name,
        kind=kind_of(channel),
        sent=told.sent,
        failed=told.failed,
        given_up=told.given_up,
        waiting=sum(each.channel == channel.name for each in state.waiting),
        last_sent_at=told.last_sent_at,
        last_failed_at=told.last_failed_at,
        error=told.error,
    )
