"""The database's schema as the newest release's migrations see it."""

import json
from dataclasses import dataclass
from typing import Any

from remotegpu.site import runner
from remotegpu.site.deploying.deployment import DeployError, Deployment

PLAN_S = 120.0


@dataclass(frozen=True)
class SchemaPlan:
    """``current``: where the schema is; empty without one. ``pending``: revisions of ``phase`` that are not applied.

    ``contracting``: applied revisions that took away what older code needs, in order.
    """

    current: str
    pending: tuple[str, ...]
    pending_after: tuple[str, ...]
    contracting: tuple[str, ...]

    def contracted_since(self, revision: str) -> list[str]:
        """What stands between the schema now and code that was at ``revision``."""
        return [name for name in self.contracting if name > revision]


def plan(deployment: Deployment) -> SchemaPlan:
    """Asks the image that migrates. Changes nothing."""
    command = deployment.compose.run_once(
        "migrate", "server", "migrate", "--plan", "--json", timeout_s=PLAN_S
    )
    return read_plan(last_json(runner.run(command).output))


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
    )


def last_json(output: str) -> dict[str, Any]:  # Any: same
    """The JSON object that a command printed last; progress may stand before it. Raises :class:`DeployError`."""
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    raise DeployError(f"expected JSON, found: {output[-300:]!r}")
