"""Loopback ports: chosen once, remembered, chosen again only when somebody else took one."""

import json
import random
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

from remotegpu.kit import files
from remotegpu.local.objects import ADMIN_GRPC_OFFSET

INTERNAL_PORTS = (
    "postgres",
    "valkey",
    "s3",
    "s3_grpc",
    "master",
    "master_grpc",
    "volume",
    "volume_grpc",
    "filer",
    "filer_grpc",
    "object_admin",
)
"""Every port beside the console's. SeaweedFS needs a pair (HTTP, gRPC) for each of its parts; the admin's second one
follows from the first (:data:`PAIRED`)."""

PAIRED = {"object_admin": ("object_admin_grpc", ADMIN_GRPC_OFFSET)}

MAXIMUM = 65_535
LOWEST, HIGHEST = 10_100, 22_700
"""Below Linux's ephemeral range (32768–60999), pairs included: no outgoing connection can take a remembered port while
a service restarts."""


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """True when a listener could bind ``host:port`` now (connections in TIME_WAIT do not count)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
        return True


def choose(
    names: Iterable[str],
    remembered: dict[str, int],
    *,
    free: Callable[[int], bool],
    candidate: Callable[[], int],
) -> dict[str, int]:
    """A distinct free port for each name, the remembered one where it is still free."""
    chosen: dict[str, int] = {}

    def usable(port: int) -> bool:
        return port not in chosen.values() and free(port)

    for name in names:
        pair, offset = PAIRED.get(name, ("", 0))
        port = remembered.get(name, 0)
        while not (LOWEST <= port <= HIGHEST and usable(port) and (not pair or usable(port + offset))):
            port = candidate()
        chosen[name] = port
        if pair:
            chosen[pair] = port + offset
    return chosen


def remembered_ports(path: Path) -> dict[str, int]:
    """The ports of the last run; empty when there was none or the file is damaged (they are only a preference)."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): int(port) for name, port in found.items()} if isinstance(found, dict) else {}


def allocate(path: Path) -> dict[str, int]:
    """Choose all internal ports and remember them in ``path``."""
    source = random.SystemRandom()
    chosen = choose(
        INTERNAL_PORTS,
        remembered_ports(path),
        free=is_free,
        candidate=lambda: source.randint(LOWEST, HIGHEST),
    )
    files.write_private(path, json.dumps(chosen, indent=2))
    return chosen
