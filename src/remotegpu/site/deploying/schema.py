"""The database's schema as the newest release's migrations see it."""

import json
from typing import Any

from remotegpu.site import runner
from remotegpu.site.deploying.deployment import DeployError, Deployment, SchemaPlan

PLAN_S = 120.0


def plan(deployment: Deployment) -> SchemaPlan:
    """Asks the image that migrates. Changes nothing."""
    deployment.schema = read_plan(last_json(runner.run(_question(deployment)).output))
    return deployment.schema


def ahead(deployment: Deployment, image: str) -> SchemaPlan:
    """As ``image`` sees it, which is not in its place yet. Changes nothing, and nothing is kept of it.

    Raises :class:`~remotegpu.site.runner.CommandError`, :class:`DeployError`.
    """
    command = runner.with_environment(_question(deployment), {"MIGRATE_IMAGE": image})
    return read_plan(last_json(runner.run(command).output))


def _question(deployment: Deployment) -> runner.Command:
    return deployment.compose.run_once("migrate", "server", "migrate", "--plan", "--json", timeout_s=PLAN_S)


def known(deployment: Deployment) -> SchemaPlan:
    """The same as it was last seen in this run."""
    return deployment.schema or plan(deployment)


def read_plan(found: dict[str, Any]) -> SchemaPlan:  # Any: the command's own JSON
    """From what ``remotegpu server migrate --plan --json`` prints."""
    pending = found["pending"]
    return SchemaPlan(
        current=found["current"] or "",
        pending=tuple(entry["revision"] for entry in pending),
        pending_after=tuple(entry["revision"] for entry in pending if entry["phase"] == "post"),
        contracting=tuple(
            entry["revision"] for entry in found["revisions"] if entry["applied"] and entry["contracts"]
        ),
        pending_contracting=tuple(
            entry["revision"] for entry in found["revisions"] if not entry["applied"] and entry["contracts"]
        ),
    )


def last_json(output: str) -> dict[str, Any]:  # Any: same
    """The JSON object that a command printed last; progress may stand before it. Raises :class:`DeployError`."""
    lines = output.splitlines()
    for number in range(len(lines) - 1, -1, -1):
        if lines[number].startswith("{"):
            found, _ = json.JSONDecoder().raw_decode("\n".join(lines[number:]))
            return found
    raise DeployError(f"expected JSON, found: {output[-300:]!r}")
