"""What was found out about a site, before anybody says whether that is good."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from remotegpu.site.backups.drill import Drill
from remotegpu.site.backups.manifests import Kind, Manifest
from remotegpu.site.backups.outcomes import Outcome
from remotegpu.site.backups.wal import WalStatus
from remotegpu.site.journal import Run
from remotegpu.site.releases import Release


@dataclass(frozen=True)
class Unknown:
    """It could not be looked at. ``why``: one sentence; ``remedy``: how it can be."""

    why: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds the site's lock."""

    who: str
    why: str
    since: datetime | None
    pid: int | None


@dataclass(frozen=True, kw_only=True)
class Container:
    """``health``: empty for one without a check. ``restarts``: by Docker, since the container was made."""

    service: str
    state: str
    health: str
    restarts: int
    started_at: datetime | None
    exit_code: int
    out_of_memory: bool
    image_id: str


@dataclass(frozen=True, kw_only=True)
class Door:
    """The site as its visitors find it. ``error``: why there was no connection. ``distrust``: what is wrong with the
    certificate, empty when it is believed. ``status``: of ``/health/ready``; ``said``: its body.
    """

    address: str
    error: str = ""
    distrust: str = ""
    begins_at: datetime | None = None
    ends_at: datetime | None = None
    status: int = 0
    said: str = ""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """``purpose``: whose it is, for whoever reads it. ``renewal``: how it comes by a new one."""

    purpose: str
    ends_at: datetime
    renewal: str


@dataclass(frozen=True, kw_only=True)
class Disk:
    """``used`` and ``free`` in bytes, as ``df`` counts: what only root may use is neither."""

    path: str
    used: int
    free: int

    @property
    def percent(self) -> float:
        whole = self.used + self.free
        return 100.0 * self.used / whole if whole else 0.0


@dataclass(frozen=True, kw_only=True)
class Backups:
    """``kinds``: those a site of this configuration makes. ``since``: when there was first something to back up."""

    kinds: tuple[Kind, ...]
    since: datetime | None
    newest: dict[Kind, Manifest]
    outcomes: dict[str, Outcome]
    drills: tuple[Drill, ...]


@dataclass(frozen=True, kw_only=True)
class SecretAge:
    """``changed_at``: None for one that is missing. ``due_after``: None for one that is replaced when needed."""

    name: str
    changed_at: datetime | None
    due_after: timedelta | None


@dataclass(frozen=True, kw_only=True)
class RetiredKey:
    """Of continuous backups. ``repository``: where what it opens is, as containers see it; ``is_there``: or was."""

    repository: str
    until: datetime
    is_there: bool


@dataclass(frozen=True, kw_only=True)
class AlertChannel:
    """How telling people through it goes. ``waiting``: messages; ``error``: why the last attempt failed."""

    name: str
    kind: str
    sent: int
    failed: int
    given_up: int
    waiting: int
    last_sent_at: datetime | None
    last_failed_at: datetime | None
    error: str


@dataclass(frozen=True, kw_only=True)
class RunningComponent:
    """``runs``: the reference in use. ``manifest``: the one this version of the toolkit knows."""

    name: str
    runs: str
    manifest: str
    supported_until: date | None


@dataclass(frozen=True, kw_only=True)
class ImageInUse:
    """``stand_in``: what its label says it stands in for; empty for the real one."""

    reference: str
    stand_in: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """``named_version``: the file's. ``config_changes``: files that would be rendered otherwise than they were for the
    release; ``edited``: files that differ from what was rendered then. ``services``: those that are to run.
    """

    site: str
    now: datetime
    holder: Holder | None
    last_run: Run | None
    release: Release | None
    named_version: str
    config_changes: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    services: tuple[str, ...] | Unknown
    containers: tuple[Container, ...] | Unknown
    images: tuple[ImageInUse, ...] | Unknown
    door: Door
    certificates: tuple[Certificate, ...] | Unknown
    disks: tuple[Disk, ...]
    backups: Backups | Unknown
    archive: WalStatus | Unknown
    pending: tuple[str, ...] | Unknown
    secrets: tuple[SecretAge, ...] | Unknown
    retired_keys: tuple[RetiredKey, ...] | Unknown = field(default=())
    alerts: tuple[AlertChannel, ...] | Unknown
    components: tuple[RunningComponent, ...] = field(default=())
