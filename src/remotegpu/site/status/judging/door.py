"""The site as its visitors find it: TLS, the certificate that is served, and whether what is behind it is ready."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from remotegpu.site.status.facts import Door
from remotegpu.site.status.items import Item, Level

WARN_LEFT = timedelta(days=30)
"""Section 7.6 of the deployment plan."""
LITTLE_LEFT = timedelta(days=7)
WARN_SHARE, LITTLE_SHARE = 4, 10
"""Short-lived certificates are renewed late: warn at a quarter of their life at the earliest, a tenth is little."""


def judge(door: Door, now: datetime) -> Iterator[Item]:
    if door.error:
        remedy = "See whether nginx runs and who has the port: remotegpu site diagnose backend"
        yield Item(name="front door", level="problem", found=f"{door.address}: {door.error}", remedy=remedy)
        return
    yield _trust(door)
    if door.begins_at and door.ends_at:
        yield _certificate(door.begins_at, door.ends_at, now)
    yield _ready(door)


def _trust(door: Door) -> Item:
    if not door.distrust:
        return Item(
            name="front door", level="ok", found=f"{door.address} answers with a certificate that is believed"
        )
    return Item(
        name="front door",
        level="warning",
        found=f"{door.address}: the certificate is not believed here: {door.distrust}",
        remedy="Serve the whole chain for this very domain; an authority of your own must be trusted on each client.",
    )


def _certificate(begins_at: datetime, ends_at: datetime, now: datetime) -> Item:
    left, life = ends_at - now, ends_at - begins_at
    said = f"the one that is served ends on {ends_at:%Y-%m-%d}, in {max(left, timedelta()).days} days"
    level = _level(left, life)
    remedy = (
        "" if level == "ok" else "Put a new one in place (tls in remotegpu.yaml), then: remotegpu site deploy"
    )
    if left <= timedelta():
        said = f"the one that is served ended on {ends_at:%Y-%m-%d}: browsers and agents refuse it"
    return Item(name="certificate", level=level, found=said, remedy=remedy)


def _level(left: timedelta, life: timedelta) -> Level:
    if left < min(LITTLE_LEFT, life / LITTLE_SHARE):
        return "problem"
    return "warning" if left < min(WARN_LEFT, life / WARN_SHARE) else "ok"


def _ready(door: Door) -> Item:
    if 200 <= door.status < 300:
        return Item(name="readiness", level="ok", found=f"/health/ready answers {door.status}")
    return Item(
        name="readiness",
        level="problem",
        found=f"/health/ready answers {door.status}: {door.said}"
        if door.status
        else f"/health/ready: {door.said}",
        remedy="Find out why: remotegpu site diagnose backend",
    )
