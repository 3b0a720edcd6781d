"""Each container: whether it runs, is healthy, keeps running, and is made of what the release recorded."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from remotegpu.site.bundle.topology import SLOTS
from remotegpu.site.releases import Release
from remotegpu.site.status.facts import Container, Unknown
from remotegpu.site.status.items import Item, Level
from remotegpu.site.status.judging.wording import ago, compose, not_seen

GROUP = "containers"
RECENT = timedelta(hours=1)
"""Docker counts restarts for as long as a container exists; only those of lately say something about now."""
SLOTTED = ("backend", "frontend")


def judge(
    services: tuple[str, ...] | Unknown,
    containers: tuple[Container, ...] | Unknown,
    release: Release | None,
    now: datetime,
) -> Iterator[Item]:
    """``services``: those of the compose file that are to stay up."""
    if isinstance(services, Unknown):
        yield not_seen(GROUP, services)
        return
    if isinstance(containers, Unknown):
        yield not_seen(GROUP, containers)
        return
    found = {container.service: container for container in containers}
    for service in services:
        yield _one(service, found.get(service), release, now)


def in_reserve(service: str, release: Release | None) -> bool:
    """Whether it belongs to the slot that does not serve: it may be stopped."""
    program, _, slot = service.rpartition("-")
    return program in SLOTTED and slot in SLOTS and (release is None or slot != release.slot)


def _one(service: str, container: Container | None, release: Release | None, now: datetime) -> Item:
    reserve = in_reserve(service, release)
    if container is None or container.state != "running":
        return _down(service, container, reserve=reserve)
    if container.health == "unhealthy":
        return _item(
            service, "warning" if reserve else "problem", "unhealthy" + _where(reserve=reserve), _log(service)
        )
    if container.health == "starting":
        return _item(service, "warning", "still starting", "Look again in a minute.")
    if container.restarts and container.started_at and now - container.started_at < RECENT:
        said = f"restarted {container.restarts} times, last {ago(container.started_at, now)}"
        return _item(service, "warning", said, _log(service))
    return _made_of(service, container, release, reserve=reserve)


def _down(service: str, container: Container | None, *, reserve: bool) -> Item:
    if reserve:
        return _item(service, "ok", f"{container.state if container else 'stopped'}, in reserve")
    if container is None:
        return _item(service, "problem", "there is none", "Bring it back: remotegpu site deploy")
    if container.out_of_memory:
        remedy = f"Raise limits.{_limit_of(service)}.memory in remotegpu.yaml, then: remotegpu site deploy"
        return _item(service, "problem", f"{container.state}: ran out of memory", remedy)
    return _item(service, "problem", f"{container.state}, exit status {container.exit_code}", _log(service))


def _made_of(service: str, container: Container, release: Release | None, *, reserve: bool) -> Item:
    wanted = _recorded_image(service, release) if not reserve else ""
    if wanted and container.image_id and container.image_id != wanted:
        return _item(
            service,
            "warning",
            f"runs image {container.image_id[7:19]}, the release recorded {wanted[7:19]}",
            "Somebody started it by hand, or a deployment was cut short: remotegpu site deploy",
        )
    return _item(service, "ok", (container.health or "running") + _where(reserve=reserve))


def _recorded_image(service: str, release: Release | None) -> str:
    """The database keeps the image it was first started with, so it is not held to the release's."""
    program = {"worker": "backend", "backup": "postgresql"}.get(service, service.rpartition("-")[0])
    return release.image_ids.get(program, "") if release else ""


def _item(service: str, level: Level, found: str, remedy: str = "") -> Item:
    return Item(name=f"container {service}", level=level, found=found, remedy=remedy, group=GROUP)


def _where(*, reserve: bool) -> str:
    return ", in reserve" if reserve else ""


def _limit_of(service: str) -> str:
    program, _, slot = service.rpartition("-")
    return program if slot in SLOTS else service


def _log(service: str) -> str:
    """Which handbook to open."""
    if service == "postgresql":
        return "Find out why: remotegpu site diagnose database"
    if service.startswith("backend") or service in {"worker", "redis", "rustfs"}:
        return "Find out why: remotegpu site diagnose backend"
    return f"Read its log: {compose(f'logs --tail 100 {service}')}"
