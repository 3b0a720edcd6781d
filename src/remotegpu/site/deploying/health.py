"""Having services run and be well, and what those said that are not. Of one site's Compose project."""

import json
from collections.abc import Sequence
from typing import Any

from remotegpu.site import runner
from remotegpu.site.commands.compose import Compose
from remotegpu.site.deploying.deployment import DeployError

LOG_LINES = 20


def start(compose: Compose, *services: str, within_s: int) -> None:
    """Raises :class:`DeployError` and :class:`~remotegpu.site.runner.CommandError`.

    Compose ends with 0 also when the time is over before they are well, so they are looked at.
    """
    runner.run(compose.start(*services, within_s=within_s))
    require_well(services, containers(compose), f" after {within_s} s")


def require_well(
    services: Sequence[str], found: list[dict[str, Any]], when: str = ""
) -> None:  # Any: Compose's own JSON
    """Raises :class:`DeployError` for the first that does not run, or is not healthy where it can say so. Pure."""
    by_service = {str(entry.get("Service")): entry for entry in found}
    for service in services:
        entry = by_service.get(service, {})
        state, health = entry.get("State", "missing"), entry.get("Health", "")
        if state != "running" or health in {"starting", "unhealthy"}:
            shown = health if state == "running" else state
            raise DeployError(f"{service} is {shown}{when}, expected running and healthy")


def containers(compose: Compose) -> list[dict[str, Any]]:  # Any: Compose's own JSON
    """Of the whole site."""
    return _objects(runner.run(compose.containers()).output)


def _objects(output: str) -> list[dict[str, Any]]:  # Any: same
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def last_words(compose: Compose, *otherwise: str) -> str:
    """The end of the log of every container that is not well, for the message that says why something did not do.

    ``otherwise``: of these, when all are well. Whatever state the engine is in: nothing that goes wrong here may keep
    what was there from coming back.
    """
    found = {
        str(entry.get("Service")): entry for entry in _objects(runner.attempt(compose.containers()).output)
    }
    unwell = [
        service
        for service, entry in found.items()
        if entry.get("State") != "running" or entry.get("Health") not in {"", "healthy"}
    ]
    services = unwell or [service for service in otherwise if service in found]
    return "\n".join(_end_of_log(compose, service) for service in services)


def _end_of_log(compose: Compose, service: str) -> str:
    said = runner.attempt(compose.logs(service, lines=LOG_LINES)).output.rstrip()
    return f"The end of {service}'s log:\n{said or '(it wrote nothing)'}"
