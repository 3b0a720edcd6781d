"""What people were told, and what they still have to be told: on disk, so that a restart neither forgets nor repeats.

Pure but for ``read`` and ``write``: each change makes a new state.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from remotegpu.kit import files
from remotegpu.kit.channels.models import Message

STATE = ".state/telling.json"
FIRST_RETRY, LONGEST_RETRY = timedelta(minutes=1), timedelta(hours=1)
KEPT_FOR = timedelta(days=3)
"""After that a message is given up: what it says is old."""
MOST_WAITING = 50
"""For one channel; the oldest give way."""


class Trouble(msgspec.Struct, kw_only=True, frozen=True):
    """A job that failed. ``since``: when the first attempt that failed began. ``told``: whether it was said."""

    since: datetime
    attempts: int = 0
    told: bool = False


class Waiting(msgspec.Struct, kw_only=True, frozen=True):
    """A message on its way to one channel."""

    channel: str
    message: Message
    attempts: int = 0
    not_before: datetime | None = None


class Deliveries(msgspec.Struct, kw_only=True, frozen=True):
    """Of one channel. ``failed``: attempts; ``given_up``: messages. ``error``: why the last attempt failed."""

    sent: int = 0
    failed: int = 0
    given_up: int = 0
    last_sent_at: datetime | None = None
    last_failed_at: datetime | None = None
    error: str = ""

    @property
    def is_well(self) -> bool:
        """Whether the last attempt succeeded."""
        return not self.error


class State(msgspec.Struct, kw_only=True, frozen=True):
    troubles: dict[str, Trouble] = {}
    waiting: tuple[Waiting, ...] = ()
    channels: dict[str, Deliveries] = {}


def failed(state: State, job: str, began: datetime, *, is_final: bool) -> tuple[State, Trouble | None]:
    """After an attempt that failed. The trouble when it is to be told: at the last attempt, and only once."""
    before = state.troubles.get(job, Trouble(since=began))
    is_news = is_final and not before.told
    after = msgspec.structs.replace(before, attempts=before.attempts + 1, told=before.told or is_final)
    return _replace(state, troubles=state.troubles | {job: after}), after if is_news else None


def worked(state: State, job: str) -> tuple[State, Trouble | None]:
    """After one that succeeded. The trouble that ended, when it had been told."""
    before = state.troubles.get(job)
    if before is None:
        return state, None
    others = {name: each for name, each in state.troubles.items() if name != job}
    return _replace(state, troubles=others), before if before.told else None


def put(state: State, message: Message, channels: Iterable[str]) -> State:
    """``message`` is on its way to each of ``channels``."""
    for channel in channels:
        there = [each for each in state.waiting if each.channel == channel]
        crowded = set(map(id, there[: max(0, len(there) + 1 - MOST_WAITING)]))
        kept = tuple(each for each in state.waiting if id(each) not in crowded)
        state = _replace(state, waiting=(*kept, Waiting(channel=channel, message=message)))
        state = _counted(state, channel, given_up=len(crowded))
    return state


def tidied(state: State, channels: Collection[str], now: datetime) -> State:
    """Without channels that are no more, and without what is too old."""
    state = _replace(
        state,
        waiting=tuple(each for each in state.waiting if each.channel in channels),
        channels={name: each for name, each in state.channels.items() if name in channels},
    )
    for old in [each for each in state.waiting if now - each.message.at > KEPT_FOR]:
        state = _counted(_without(state, old), old.channel, given_up=1)
    return state


def due(state: State, now: datetime) -> list[Waiting]:
    """The first message of each channel, when it is time: people read them in order."""
    heads: dict[str, Waiting] = {}
    for each in state.waiting:
        heads.setdefault(each.channel, each)
    return [each for each in heads.values() if each.not_before is None or each.not_before <= now]


def delivered(state: State, gone: Waiting, now: datetime) -> State:
    before = state.channels.get(gone.channel, Deliveries())
    after = msgspec.structs.replace(before, sent=before.sent + 1, last_sent_at=now, error="")
    return _replace(_without(state, gone), channels=state.channels | {gone.channel: after})


def not_delivered(state: State, tried: Waiting, error: str, now: datetime) -> State:
    """Again later, each time twice as late."""
    before = state.channels.get(tried.channel, Deliveries())
    after = msgspec.structs.replace(before, failed=before.failed + 1, last_failed_at=now, error=error)
    wait = min(FIRST_RETRY * 2 ** min(tried.attempts, 10), LONGEST_RETRY)
    again = msgspec.structs.replace(tried, attempts=tried.attempts + 1, not_before=now + wait)
    waiting = tuple(again if _is_same(each, tried) else each for each in state.waiting)
    return _replace(state, waiting=waiting, channels=state.channels | {tried.channel: after})


def read(root: Path) -> State:
    """Nothing was told yet: an empty one."""
    try:
        return msgspec.json.decode((root / STATE).read_bytes(), type=State)
    except (FileNotFoundError, msgspec.MsgspecError):
        return State()


def write(root: Path, state: State) -> None:
    files.make_directory((root / STATE).parent)
    files.write_private(root / STATE, msgspec.json.encode(state))


def _counted(state: State, channel: str, *, given_up: int) -> State:
    before = state.channels.get(channel, Deliveries())
    after = msgspec.structs.replace(before, given_up=before.given_up + given_up)
    return _replace(state, channels=state.channels | {channel: after})


def _without(state: State, gone: Waiting) -> State:
    return _replace(state, waiting=tuple(each for each in state.waiting if not _is_same(each, gone)))


def _is_same(one: Waiting, other: Waiting) -> bool:
    return (one.channel, one.message.id) == (other.channel, other.message.id)


def _replace(state: State, **changes: object) -> State:
    return msgspec.structs.replace(state, **changes)
