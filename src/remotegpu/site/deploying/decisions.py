"""What a deployment decides, apart from doing it. Pure."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ruamel.yaml import YAML

from remotegpu.site.bundle import topology
from remotegpu.site.bundle.compose import FILE_NAME
from remotegpu.site.bundle.render import BundleFile
from remotegpu.site.bundle.topology import Slot
from remotegpu.site.config.model import Config
from remotegpu.site.config.versions import image_of
from remotegpu.site.releases import Release

PROGRAMS = ("backend", "frontend", "postgresql")
"""Images of ours, one tag for a release."""
FEWEST_REQUESTS = 20
"""Below so many requests a share of failures says nothing."""
SERVER_ERROR = 500


def image_references(config: Config, version: str) -> dict[str, str]:
    """By program: what a release is made of, and what it stands on."""
    prefix = f"{config.release.registry.rstrip('/')}/" if config.release.registry else ""
    ours = {program: f"{prefix}remotegpu-{program}:{version}" for program in PROGRAMS}
    return ours | {name: image_of(name, config.images) for name in components(config)}


def components(config: Config) -> tuple[str, ...]:
    """Images of others."""
    return ("nginx", "redis", "rustfs") if config.components.rustfs else ("nginx", "redis")


def known_ids(config: Config, references: Mapping[str, str], previous: Release | None) -> dict[str, str]:
    """Images that stay what they are because the file names what it named before, whatever the tag means by now."""
    if previous is None:
        return {}
    return {
        name: previous.image_ids[name]
        for name in components(config)
        if previous.images.get(name) == references[name]
    }


def config_hash(bundle: Mapping[str, BundleFile]) -> str:
    """SHA-256 over paths, modes and contents."""
    digest = hashlib.sha256()
    for path, file in sorted(bundle.items()):
        digest.update(f"{path}\0{file.mode:o}\0{len(file.text)}\0{file.text}".encode())
    return digest.hexdigest()


def next_slot(current: Release | None) -> Slot:
    return topology.other(current.slot) if current else topology.SLOTS[0]


def variables_for_start(
    present: Mapping[str, str], slot: Slot, images: Mapping[str, str], secrets: str, *, restart_database: bool
) -> dict[str, str]:
    """Compose's variables while a release starts in ``slot``: everything that runs stays as it is.

    ``secrets``: fingerprint of what the backend reads. The database keeps its image: a new one would restart it.
    """
    wanted = dict(present) | {
        f"BACKEND_{slot.upper()}_IMAGE": images["backend"],
        f"BACKEND_{slot.upper()}_SECRETS": secrets,
        f"FRONTEND_{slot.upper()}_IMAGE": images["frontend"],
        "MIGRATE_IMAGE": images["backend"],
    }
    if restart_database or "POSTGRESQL_IMAGE" not in wanted:
        wanted["POSTGRESQL_IMAGE"] = images["postgresql"]
    for name, program in (("WORKER_IMAGE", "backend"), ("BACKUP_IMAGE", "postgresql")):
        wanted.setdefault(name, images[program])
    return wanted | component_variables(images) | {"COMPOSE_FILE": FILE_NAME}


def component_variables(images: Mapping[str, str]) -> dict[str, str]:
    """Of what a release stands on."""
    return {f"{name.upper()}_IMAGE": image for name, image in images.items() if name not in PROGRAMS}


def variables_once_it_serves(
    present: Mapping[str, str], images: Mapping[str, str], worker_secrets: str, backup_secrets: str
) -> dict[str, str]:
    """Worker and backups follow."""
    return dict(present) | {
        "WORKER_IMAGE": images["backend"],
        "WORKER_SECRETS": worker_secrets,
        "BACKUP_IMAGE": images["postgresql"],
        "BACKUP_SECRETS": backup_secrets,
    }


def changed_services(before: str, after: str, of_interest: Iterable[str]) -> set[str]:
    """Services whose part of the compose file is another one, but for the image, which the deploy chooses.

    ``before``: empty when there was none.
    """
    yaml = YAML(typ="safe", pure=True)
    old = (yaml.load(before) or {}).get("services", {})
    new = yaml.load(after)["services"]
    return {
        name
        for name in of_interest
        if name in old and old[name] | {"image": ""} != new.get(name, {}) | {"image": ""}
    }


def new_ports(before: str, after: str) -> list[tuple[str, int]]:
    """Address and port of what ``after`` publishes and ``before`` (empty when there was none) did not."""
    old = set(_published(before))
    return [one for one in _published(after) if one not in old]


def _published(compose: str) -> Iterator[tuple[str, int]]:
    services = (YAML(typ="safe", pure=True).load(compose) or {}).get("services", {})
    for service in services.values():
        for written in service.get("ports", []):
            address, _, port = str(written).rpartition(":")[0].rpartition(":")
            yield address.strip("[]") or "0.0.0.0", int(port)


def env_text(variables: Mapping[str, str]) -> str:
    head = "# Written by `remotegpu site deploy`: the image in each place, and what plain `docker compose` reads.\n"
    return head + "".join(f"{name}={value}\n" for name, value in sorted(variables.items()))


def parse_env(text: str) -> dict[str, str]:
    """The reverse."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


@dataclass(frozen=True)
class Traffic:
    """Requests that nginx answered: all, and those that failed on the server's side."""

    requests: int
    failed: int

    @property
    def percent(self) -> float:
        return 100.0 * self.failed / self.requests if self.requests else 0.0

    def is_bad(self, limit_percent: float) -> bool:
        return self.requests >= FEWEST_REQUESTS and self.percent > limit_percent


def traffic(lines: Iterable[str], upstream: str) -> Traffic:
    """From nginx' access log: what ``upstream`` (host:port) made of requests, even if another answered then."""
    statuses = [status for address, status in _attempts(lines) if address == upstream]
    return Traffic(len(statuses), sum(status >= SERVER_ERROR for status in statuses))


def _attempts(lines: Iterable[str]) -> Iterator[tuple[str, int]]:
    """nginx lists every server it asked, and what each answered: ``a:80, b:80`` and ``502, 200``."""
    for line in lines:
        try:
            entry = json.loads(line)
            addresses, statuses = str(entry["upstream"]), str(entry["upstream_status"])
            yield from zip(addresses.split(", "), map(int, statuses.split(", ")), strict=True)
        except (ValueError, KeyError, TypeError):
            continue
