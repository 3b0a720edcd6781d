"""The facts of a site that several files must agree on: names, users, ports, networks, addresses, limits. Pure."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from remotegpu.site.config.model import Config, Limits, Service

Slot = Literal["blue", "green"]
SLOTS: tuple[Slot, Slot] = ("blue", "green")
"""Two places for a release: one serves while the next one starts beside it."""

NETWORKS = ("edge", "app", "data", "monitoring")
"""In the order in which they are cut out of ``network.subnet``. Only nginx is in ``edge``; ``data`` has no way out."""

UIDS: dict[Service, int] = {
    "nginx": 101,
    "backend": 10100,
    "frontend": 101,
    "worker": 10100,
    "migrate": 10100,
    "postgresql": 999,
    "redis": 999,
    "rustfs": 10001,
    "backup": 999,
}
"""Whom each service runs as inside its container, and who therefore owns its files. Those of the published images."""

BACKEND_PORT = 8080
FRONTEND_PORT = 3000
OBJECTS_PORT = 9000
PROBE_PORT = 8081
"""Inside nginx: what is there before anybody outside sees it."""
METRICS_PORT = 9108

BUCKET = "remotegpu-objects"
DATABASE = "remotegpu"
OWNER_ROLE = "remotegpu_owner"
APP_GROUP = "remotegpu_app"
APP_ROLES = ("remotegpu_app_a", "remotegpu_app_b")
"""They take turns: one is in use while the other gets its next password."""

DEFAULT_LIMITS: dict[Service, tuple[float, str, int]] = {
    "nginx": (1.0, "256m", 256),
    "backend": (2.0, "1g", 512),
    "frontend": (0.5, "128m", 128),
    "worker": (1.0, "512m", 256),
    "migrate": (1.0, "512m", 128),
    "postgresql": (2.0, "2g", 512),
    "redis": (1.0, "512m", 128),
    "rustfs": (2.0, "1g", 512),
    "backup": (2.0, "2g", 256),
}
"""CPU cores, memory, processes: for the plan's smallest management node (4 cores, 8 GB)."""

BACKUP_CPU_SHARES = 64
"""Beside 1024 of every other container: backups take what the others leave, and a little where they leave nothing."""

_APP_HOSTS = {
    "nginx": 10,
    "backend-blue": 11,
    "backend-green": 12,
    "frontend-blue": 21,
    "frontend-green": 22,
    "rustfs": 31,
}


@dataclass(frozen=True)
class Bounds:
    """Limits of one container; ``memory`` as Compose writes it."""

    cpus: float
    memory: str
    pids: int

    @property
    def mebibytes(self) -> int:
        number = int(self.memory[:-1])
        return number * 1024 if self.memory.endswith("g") else number


def bounds(config: Config, service: Service) -> Bounds:
    """The built-in limits, or what the file says instead."""
    cpus, memory, pids = DEFAULT_LIMITS[service]
    own = config.limits.get(service, Limits())
    return Bounds(own.cpus or cpus, own.memory or memory, own.pids or pids)


def project(config: Config) -> str:
    """Compose's project: the beginning of every name of a container, network and volume."""
    return f"remotegpu-{config.site.name}"


def network(config: Config, name: str) -> IPv4Network:
    """Its addresses."""
    parts = list(IPv4Network(config.network.subnet).subnets(new_prefix=24))
    return parts[NETWORKS.index(name)]


def address(config: Config, service: str) -> IPv4Address:
    """The fixed address of ``service`` in the app network.

    nginx resolves a name once; a container that came back elsewhere would be lost to it.
    """
    return network(config, "app")[_APP_HOSTS[service]]


def other(slot: Slot) -> Slot:
    """The slot where the next release goes."""
    return SLOTS[1 - SLOTS.index(slot)]


def public_url(config: Config) -> str:
    """As people type it."""
    port = config.network.https_port
    return f"https://{config.site.domain}" + ("" if port == 443 else f":{port}")
