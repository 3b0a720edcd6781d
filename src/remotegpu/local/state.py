"""The snapshot that the supervisor keeps on disk, and what ``status`` makes of it."""

import errno
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from remotegpu.kit import files
from remotegpu.local import proc
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
    """``started_seconds``: how long it took until everything was up. ``disk_error``: empty while space is left.

    ``isolation``: the agent's; empty in the snapshot of a version that did not write it.
    """

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
    isolation: str = ""
    recovered: list[str] = field(default_factory=list)
    services: list[ServiceState] = field(default_factory=list)

    @property
    def is_supervised(self) -> bool:
        """Whether the supervisor that wrote this still runs."""
        return proc.is_alive(self.supervisor)


_SIZE = 16 * 1024
"""Every snapshot is padded to this many bytes, so that one can be written over another without a free block."""


def write(path: Path, state: PlatformState) -> None:
    """Replace the snapshot; on a full disk, where there is no room for a new file, write over the old one."""
    text = files.to_json(asdict(state)).ljust(_SIZE)
    try:
        files.write_private(path, text)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        _overwrite(path, text.encode())


def _overwrite(path: Path, content: bytes) -> None:
    """One write into blocks the file has already. A reader in the middle of it sees no valid JSON and asks again."""
    try:
        with path.open("r+b", buffering=0) as stream:
            stream.write(content)
    except OSError:
        return  # nothing can be written at all: readers compare pids before they believe the old snapshot


def read(path: Path) -> PlatformState | None:
    """The last snapshot; None when there is none or it cannot be understood."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=PlatformState)
    except (FileNotFoundError, msgspec.DecodeError, msgspec.ValidationError):
        return None
