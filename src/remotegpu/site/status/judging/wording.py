"""Lengths of time as people say them."""

from datetime import datetime, timedelta

from remotegpu.site.bundle.compose import FILE_NAME
from remotegpu.site.status.facts import Unknown
from remotegpu.site.status.items import Item

_UNITS = ((timedelta(days=2), timedelta(days=1), "days"), (timedelta(hours=2), timedelta(hours=1), "hours"))


def length(span: timedelta) -> str:
    """``45 s``, ``12 minutes``, ``5 hours``, ``30 days``: whole ones, rounded down."""
    for least, unit, name in _UNITS:
        if span >= least:
            return f"{span // unit} {name}"
    if span >= timedelta(minutes=2):
        return f"{span // timedelta(minutes=1)} minutes"
    return f"{max(0, int(span.total_seconds()))} s"


def ago(moment: datetime, now: datetime) -> str:
    return f"{length(now - moment)} ago"


def end_of(text: str, characters: int = 200) -> str:
    """The last words of what a program said, on one line."""
    whole = " ".join(text.split())
    if len(whole) <= characters:
        return whole
    return "… " + whole[-characters:].partition(" ")[2]


def compose(words: str) -> str:
    """As somebody types it in the site's directory."""
    return f"docker compose --file {FILE_NAME} {words} (in the site's directory)"


def not_seen(name: str, unknown: Unknown, group: str = "") -> Item:
    """The item for what could not be looked at."""
    return Item(name=name, level="unknown", found=unknown.why, remedy=unknown.remedy, group=group)
