"""One deployment under way: what it is about, and what its steps share."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from remotegpu.kit import files
from remotegpu.kit.clock import utc_now
from remotegpu.site import runner
from remotegpu.site.bundle import topology
from remotegpu.site.bundle.compose import SLOT_IMAGES
from remotegpu.site.bundle.render import BundleFile
from remotegpu.site.bundle.topology import Slot
from remotegpu.site.commands.compose import Compose
from remotegpu.site.deploying import decisions
from remotegpu.site.journal import END, Entry, Journal, State
from remotegpu.site.place import Place
from remotegpu.site.releases import Release, Releases

Kind = Literal["deploy", "rollback", "restart"]
"""``restart``: the same release again in the other slot, with what its secrets and configuration are now."""

NGINX_CONFIGURATION = ("-c", "/etc/remotegpu/nginx/nginx.conf", "-e", "/dev/stderr")

Progress = Callable[[str, str], None]
"""``(step, what is said of it)``."""


class DeployError(Exception):
    """A deployment cannot go on. The message says what was found, and what to do."""


class Plan(msgspec.Struct, kw_only=True, frozen=True):
    """Everything that was decided before anything was done; kept in the journal, to go on from after a crash.

    ``images``: by program, what they are called; ``image_ids``: what that means, and what runs.
    ``previous``: id of the release that served; empty for the first one. ``restores``: id of the record that a rollback
    or a restart brings (back); empty for a deployment.
    """

    id: str
    version: str
    slot: Slot
    previous: str
    images: dict[str, str]
    image_ids: dict[str, str] = {}
    kind: Kind = "deploy"
    restores: str = ""
    restart_database: bool = False
    backup: bool = True
    why: str = ""
    by: str = ""


@dataclass(frozen=True)
class SchemaPlan:
    """``current``: where the schema is; empty without one. ``pending``: revisions not applied yet.
    ``pending_after``: those of them that come after the code.

    ``contracting``: applied revisions that took away what older code needs, in order; ``pending_contracting``: those
    that will.
    """

    current: str
    pending: tuple[str, ...]
    pending_after: tuple[str, ...]
    contracting: tuple[str, ...]
    pending_contracting: tuple[str, ...] = ()

    def contracted_since(self, revision: str) -> list[str]:
        """What stands between the schema now and code that was at ``revision``."""
        return [name for name in self.contracting if name > revision]


@dataclass
class Deployment:
    """``bundle``: what the release is configured with."""

    place: Place
    plan: Plan
    bundle: Mapping[str, BundleFile]
    progress: Progress
    compose: Compose = field(init=False)
    releases: Releases = field(init=False)
    journal: Journal = field(init=False)
    switched_at: datetime | None = None
    schema: SchemaPlan | None = None

    def __post_init__(self) -> None:
        self.compose = Compose(self.place.directory)
        self.releases = Releases(self.place.directory)
        self.journal = Journal(self.place.directory)

    @property
    def previous(self) -> Release | None:
        """The release that served when this began."""
        return self.release(self.plan.previous) if self.plan.previous else None

    def release(self, wanted: str) -> Release | None:
        return next((release for release in self.releases.all() if release.id == wanted), None)

    @property
    def backend(self) -> str:
        return f"backend-{self.plan.slot}"

    @property
    def frontend(self) -> str:
        return f"frontend-{self.plan.slot}"

    def note(self, step: str, state: State, detail: str = "") -> None:
        self.journal.write(
            Entry(at=utc_now(), run=self.plan.id, what=self.plan.kind, step=step, state=state, detail=detail)
        )

    def end(self, state: State, detail: str = "") -> None:
        self.note(END, state, detail)

    def variables(self) -> dict[str, str]:
        """What Compose's variables say now."""
        path = self.place.directory / SLOT_IMAGES
        return decisions.parse_env(path.read_text(encoding="utf-8")) if path.exists() else {}

    def set_variables(self, variables: Mapping[str, str]) -> None:
        files.write_private(self.place.directory / SLOT_IMAGES, decisions.env_text(variables), mode=0o644)

    def write_state(self, state: Mapping[str, str]) -> None:
        """Files that the bundle does not hold, such as nginx' upstreams."""
        for path, text in state.items():
            target: Path = self.place.directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            files.write_private(target, text, mode=0o644)

    def reload_nginx(self) -> None:
        """Checked first: a configuration that nginx refuses changes nothing."""
        runner.run(self.compose.execute("nginx", "nginx", *NGINX_CONFIGURATION, "-t", "-q"))
        runner.run(self.compose.signal("nginx", "HUP"))

    def upstream(self, slot: Slot) -> str:
        """As nginx names the backend of ``slot`` in its log."""
        return f"{topology.address(self.place.config, f'backend-{slot}')}:{topology.BACKEND_PORT}"


def wait_until(
    holds: Callable[[], bool],
    within: timedelta,
    pause_s: float = 0.5,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Whether it came to hold in time."""
    end = clock() + within.total_seconds()
    while not holds():
        if clock() >= end:
            return False
        time.sleep(pause_s)
    return True
