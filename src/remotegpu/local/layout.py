"""Where everything of one embedded platform lies. Pure: paths only, nothing is created here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LAYOUT_VERSION = 1
"""Bump when an older RemoteGPU could not run the directory any more."""

SYSTEM_DATA_DIR = Path("/var/lib/remotegpu/local")
"""root's default: PostgreSQL refuses root and an unprivileged account cannot enter /root."""


@dataclass(frozen=True)
class Layout:
    """The paths under one data directory."""

    root: Path

    @property
    def marker(self) -> Path:
        """JSON: who made this directory, with which layout version. Its presence means "ours"."""
        return self.root / "platform.json"

    @property
    def ports(self) -> Path:
        return self.root / "ports.json"

    @property
    def lock(self) -> Path:
        """Held (flock) by the running supervisor; holds its pid and URL as JSON."""
        return self.root / "lock"

    @property
    def state(self) -> Path:
        """JSON snapshot the supervisor writes on every change."""
        return self.root / "state.json"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def runtime(self) -> Path:
        """Copies of binaries that PostgreSQL's account could not reach where they are installed."""
        return self.root / "runtime"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def valkey(self) -> Path:
        return self.root / "valkey"

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    @property
    def agent(self) -> Path:
        return self.root / "agent"

    @property
    def agent_env(self) -> Path:
        """Environment file written by ``remotegpu agent enroll``; its presence means "enrolled"."""
        return self.agent / "agent.env"

    @property
    def admin_password(self) -> Path:
        """The first administrator's first password; removed once it no longer signs in."""
        return self.secrets / "admin_password"

    @property
    def processes(self) -> Path:
        """One JSON per child: pid and start time, to recognise what a killed supervisor left."""
        return self.root / "processes"

    def log(self, service: str) -> Path:
        return self.logs / f"{service}.log"

    def process(self, service: str) -> Path:
        return self.processes / f"{service}.json"


def default_data_dir(environ: Mapping[str, str], *, root: bool) -> Path:
    """``$XDG_DATA_HOME/remotegpu``, else ``~/.local/share/remotegpu``; root without XDG: :data:`SYSTEM_DATA_DIR`."""
    data_home = environ.get("XDG_DATA_HOME", "")
    if data_home.startswith("/"):
        return Path(data_home) / "remotegpu"
    if root:
        return SYSTEM_DATA_DIR
    return Path(environ.get("HOME", "/")) / ".local" / "share" / "remotegpu"
