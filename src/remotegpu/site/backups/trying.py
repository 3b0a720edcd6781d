"""A test message through each channel, and how that went."""

import time
from collections.abc import Sequence

import msgspec

from remotegpu.kit.channels.models import Channel, ChannelError, kind_of
from remotegpu.kit.clock import utc_now
from remotegpu.site.backups.errors import UsageError
from remotegpu.site.backups.notices import Speaker
from remotegpu.site.backups.telling import Send


class Tried(msgspec.Struct, kw_only=True, frozen=True):
    """``error``: empty when the other side took it."""

    channel: str
    kind: str
    seconds: float
    error: str = ""


def chosen(channels: Sequence[Channel], name: str | None) -> list[Channel]:
    """The one of that name, or all. Raises :class:`UsageError` when there is none."""
    if not channels:
        raise UsageError(
            "found no alert channel, expected one. Name one in alerts.channels of remotegpu.yaml."
        )
    found = [channel for channel in channels if name in {None, channel.name}]
    if not found:
        names = ", ".join(channel.name for channel in channels)
        raise UsageError(f"found no alert channel {name}, expected one of {names}")
    return found


def try_each(channels: Sequence[Channel], speaker: Speaker, send: Send) -> list[Tried]:
    """One after the other; one that fails does not stop it."""
    return [_try(channel, speaker, send) for channel in channels]


def _try(channel: Channel, speaker: Speaker, send: Send) -> Tried:
    began, error = time.monotonic(), ""
    try:
        send(channel, speaker.tried(channel.name, at=utc_now()), utc_now())
    except ChannelError as refused:
        error = str(refused)
    seconds = round(time.monotonic() - began, 3)
    return Tried(channel=channel.name, kind=kind_of(channel), seconds=seconds, error=error)
