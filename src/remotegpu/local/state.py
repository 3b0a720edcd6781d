"""The snapshot that the supervisor keeps on disk, and what ``status`` makes of it."""

import errno
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from remotegpu.local import files, proc
from remotegpu.local.proc import Identity

PlatformPhase = Literal["starting", "up", "stopping", "failed", "stopped"]


@dataclass
class ServiceState:
    """One service as the supervisor saw it last. ``pid`` is None when it does not run."""

    name: str
    state: str
    pid: int | None = None
    start_ticks: int = 0
    port: int | None = None
    restarts: int = 0
    step: bool = False
    seconds: float = 0.0
    error: str = ""


@dataclass
class PlatformState:
    """``started_seconds``: how long it took until everything was up. ``disk_error``: empty while space is left."""

    supervisor: Identity
    version: str
    url: str
    phase: PlatformPhase
    admin_email: str
    error: str = ""
    started_seconds: float = 0.0
    disk_free_bytes: int = 0
    disk_error: str = ""
    simulated_gpus: int = 0
    recovered: list[str] = field(default_factory=list)
    services: list[ServiceState] = field(default_factory=list)

    @property
    def is_supervised(self) -> bool:
        """Whether the supervisor that wrote this still runs."""
        return proc.is_alive(self.supervisor)


def write(path: Path, state: PlatformState) -> None:
    """Replace the snapshot. On a full disk the old one stays, so readers compare pids before believing it."""
    try:
        files.write_private(path, files.to_json(asdict(state)))
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise


def read(path: Path) -> PlatformState | None:
    """The last snapshot; None when there is none or it cannot be understood."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=PlatformState)
    except (FileNotFoundError, msgspec.DecodeError, msgspec.ValidationError):
        return None
