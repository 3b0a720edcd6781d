"""Whether a release serves well, and whether the older one still has somebody on it."""

import time
from datetime import datetime, timedelta

from remotegpu.kit.clock import utc_now
from remotegpu.site import runner
from remotegpu.site.bundle import topology
from remotegpu.site.bundle.topology import Slot
from remotegpu.site.deploying import decisions, health, schema
from remotegpu.site.deploying.deployment import DeployError, Deployment, wait_until

ESTABLISHED = "01"
"""State of a TCP connection in ``/proc/net/tcp``."""
LEAST_WATCH_S = 3.0


def watch(deployment: Deployment) -> str:
    """For ``release.watch_seconds``. Raises :class:`DeployError` when it does not serve well."""
    release = deployment.place.config.release
    since = (deployment.switched_at or utc_now()).isoformat()
    end = time.monotonic() + left_to_watch_s(release.watch_seconds, deployment.switched_at, utc_now())
    while True:
        _require_healthy(deployment)
        seen = _traffic(deployment, since)
        if seen.is_bad(release.error_percent):
            raise DeployError(
                f"{seen.failed} of {seen.requests} requests failed ({seen.percent:.1f} %, at most "
                f"{release.error_percent:g} % are accepted)"
            )
        if time.monotonic() >= end:
            return f"{seen.requests} requests, {seen.failed} failed"
        time.sleep(1)


def left_to_watch_s(wanted_s: float, switched_at: datetime | None, now: datetime) -> float:
    """Of the seconds after the switch, those that are left; but some for the worker, which came last. Pure."""
    gone = (now - switched_at).total_seconds() if switched_at else 0.0
    return max(wanted_s - gone, min(wanted_s, LEAST_WATCH_S))


def _traffic(deployment: Deployment, since: str) -> decisions.Traffic:
    logs = runner.run(deployment.compose.logs("nginx", since=since)).output.splitlines()
    return decisions.traffic(logs, deployment.upstream(deployment.plan.slot))


def _require_healthy(deployment: Deployment) -> None:
    """Each was well before: one that is not fell over."""
    services = (deployment.backend, deployment.frontend, "worker")
    health.require_well(services, health.containers(deployment.compose))


def start(deployment: Deployment, *services: str, within_s: int) -> None:
    """Have them run, and be well. Raises :class:`DeployError` and :class:`~remotegpu.site.runner.CommandError`."""
    health.start(deployment.compose, *services, within_s=within_s)


def slot_is_as_wanted(deployment: Deployment) -> bool:
    """Whether the slot holds running containers of this very release, with the secrets as they are."""
    images, slot = deployment.plan.image_ids, deployment.plan.slot
    wanted_secrets = deployment.variables().get(f"BACKEND_{slot.upper()}_SECRETS", "")
    found = {str(entry.get("Service")): entry for entry in health.containers(deployment.compose)}
    backend, frontend = found.get(deployment.backend, {}), found.get(deployment.frontend, {})
    return (
        all(entry.get("State") == "running" for entry in (backend, frontend))
        and backend.get("Image") == images["backend"]
        and frontend.get("Image") == images["frontend"]
        and f"org.remotegpu.secrets={wanted_secrets}" in str(backend.get("Labels", "")).split(",")
    )


def drain(deployment: Deployment, slot: Slot) -> str:
    """Wait until nobody is connected to ``slot`` any more, at most ``release.drain_seconds``."""
    limit = timedelta(seconds=deployment.place.config.release.drain_seconds)
    count = -1

    def is_empty() -> bool:
        nonlocal count
        count = connections(deployment, slot)
        return count == 0

    if wait_until(is_empty, limit, pause_s=1.0):
        return "no connection left"
    return f"{count} connections were still open after {limit.total_seconds():g} s; they will come back by themselves"


def connections(deployment: Deployment, slot: Slot) -> int:
    """Connections that nginx holds open to the backend in ``slot``; 0 when that does not run."""
    done = runner.attempt(deployment.compose.execute(f"backend-{slot}", "cat", "/proc/net/tcp"))
    if done.code != 0:
        return 0
    return count_connections(
        done.output, topology.BACKEND_PORT, str(topology.address(deployment.place.config, "nginx"))
    )


def count_connections(table: str, port: int, peer: str) -> int:
    """From ``/proc/net/tcp`` (man 5 proc): established ones to the local ``port`` from the IPv4 address ``peer``."""
    wanted = "".join(f"{int(part):02X}" for part in reversed(peer.split(".")))
    rows = (line.split() for line in table.splitlines()[1:])
    return sum(
        len(row) > 3
        and row[1].endswith(f":{port:04X}")
        and row[2].startswith(f"{wanted}:")
        and row[3] == ESTABLISHED
        for row in rows
    )


def retire(deployment: Deployment) -> str:
    """The older release stays in reserve, for a rollback without a start, unless migrations wait for it to go."""
    previous = deployment.previous
    if previous is None:
        return "there is none"
    if not schema.plan(deployment).pending_after:
        return f"{previous.version} stays in reserve in slot {previous.slot}"
    said = drain(deployment, previous.slot)
    stop_slot(deployment, previous.slot)
    return f"stopped {previous.version}: {said}"


def stop_slot(deployment: Deployment, slot: Slot) -> None:
    runner.run(deployment.compose.stop(f"backend-{slot}", f"frontend-{slot}", within_s=60))
