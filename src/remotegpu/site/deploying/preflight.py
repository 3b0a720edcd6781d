"""What has to be so before anything is changed. Looks only; every finding says what to do."""

import errno
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from remotegpu.kit import files
from remotegpu.kit.clock import utc_now
from remotegpu.site import runner
from remotegpu.site.bundle import compose, writing
from remotegpu.site.commands import docker
from remotegpu.site.config import named_files
from remotegpu.site.deploying import decisions, schema
from remotegpu.site.deploying.deployment import DeployError, Deployment, SchemaPlan

Level = Literal["ok", "warning", "problem"]

FREE_BYTES = 5 * 1024**3
"""Room for a backup of a small database and two releases' images."""
FREE_MEMORY_BYTES = 1024**3
"""A second backend and frontend beside the first, with room for what they do."""
ANY_ADDRESS = "0.0.0.0"
OLDEST_DOCKER = (20, 10)
OLDEST_COMPOSE = (2, 30)
"""From here on env files can be taken as they are (``format: raw``)."""
BACKUP_AGE = timedelta(hours=26)
"""A daily backup and what it takes."""


@dataclass(frozen=True)
class Finding:
    """One check. ``remedy``: empty when all is well."""

    name: str
    level: Level
    found: str
    remedy: str = ""


def look(deployment: Deployment) -> list[Finding]:
    """Everything, in order; nothing is changed."""
    engine = list(_engine(deployment))
    if any(finding.level == "problem" for finding in engine):
        return engine
    return [
        *engine,
        _user(),
        _disk(deployment.place.directory),
        _memory(Path("/proc/meminfo").read_text(encoding="ascii")),
        *look_at_ports(deployment),
        *_images(deployment),
        *look_at_files(deployment),
        *_schema(deployment),
        _changes(deployment),
        *_interruptions(deployment),
        _backup(deployment),
    ]


def _engine(deployment: Deployment) -> Iterator[Finding]:
    for name, command, oldest in (
        ("docker", docker.server_version(), OLDEST_DOCKER),
        ("compose", deployment.compose.version(), OLDEST_COMPOSE),
    ):
        done = runner.attempt(command)
        said = done.output.strip()
        wanted = ".".join(map(str, oldest))
        if done.code != 0:
            remedy = f"Install Docker Engine and Compose {wanted} or newer, and start the engine."
            yield Finding(name, "problem", said[-300:] or "no answer", remedy)
        elif _version(said) < oldest:
            yield Finding(name, "problem", said, f"Upgrade it to {wanted} or newer.")
        else:
            yield Finding(name, "ok", said)


def _version(text: str) -> tuple[int, ...]:
    parts = text.lstrip("v").split("+")[0].split("-")[0].split(".")
    return tuple(int(part) for part in parts if part.isdecimal())


def _user() -> Finding:
    if os.geteuid() == 0:
        return Finding("user", "ok", "root")
    remedy = "Run it as root (sudo): each container's secrets belong to the user it runs as."
    return Finding("user", "problem", f"uid {os.geteuid()}", remedy)


def _disk(directory: Path) -> Finding:
    place = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(place).free
    said = f"{free / 1024**3:.1f} GiB free at {place}"
    if free >= FREE_BYTES:
        return Finding("disk", "ok", said)
    return Finding("disk", "problem", said, f"Free at least {FREE_BYTES / 1024**3:g} GiB.")


def _memory(meminfo: str) -> Finding:
    """``MemAvailable`` of proc(5), in kB."""
    line = next(line for line in meminfo.splitlines() if line.startswith("MemAvailable:"))
    available = int(line.split()[1]) * 1024
    said = f"{available / 1024**3:.1f} GiB available"
    if available >= FREE_MEMORY_BYTES:
        return Finding("memory", "ok", said)
    return Finding("memory", "problem", said, "A release starts beside the old one; free at least 1 GiB.")


def look_at_ports(deployment: Deployment) -> Iterator[Finding]:
    """Those that nothing of this site has yet."""
    present = _read(deployment.place.directory, compose.FILE_NAME) if deployment.previous else ""
    for address, port in decisions.new_ports(present, deployment.bundle[compose.FILE_NAME].text):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                where = "" if address == ANY_ADDRESS else f" at {address}"
                found = f"{error.strerror or error}{where}"
                yield Finding(f"port {port}", "problem", found, _port_remedy(error))
            else:
                yield Finding(f"port {port}", "ok", "free")


def _port_remedy(error: OSError) -> str:
    if error.errno == errno.EADDRNOTAVAIL:
        return "This node has no such address: correct network.internal_address."
    return "Stop what listens there, or change network.http_port, https_port or expose."


def _images(deployment: Deployment) -> Iterator[Finding]:
    plan, registry = deployment.plan, deployment.place.config.release.registry
    for program, reference in plan.images.items():
        wanted = plan.image_ids.get(program, reference)
        found = runner.attempt(docker.image_id(wanted))
        if found.code == 0:
            yield Finding("image", "ok", f"{reference} {found.output.strip()[:19]}")
        elif registry and program not in plan.image_ids:
            yield Finding("image", "ok", f"{reference} will be pulled")
        else:
            remedy = "Build it, load it with `remotegpu site images load FILE`, or fill in release.registry."
            yield Finding("image", "problem", f"{reference} is not on this node", remedy)


def look_at_files(deployment: Deployment) -> Iterator[Finding]:
    """Keys and certificates that are not ours to make; one that is missing would be found half-way otherwise.

    What serves already is no reason to stay with a release that does not.
    """
    level: Level = "warning" if deployment.plan.restores else "problem"
    for problem in named_files.problems(deployment.place.config, utc_now()):
        said = f"{problem.key}: found {problem.found}, expected {problem.expected}"
        yield Finding("file", level, said, problem.remedy)


def _schema(deployment: Deployment) -> Iterator[Finding]:
    """What the release would change, asked of its own image. A database that is down is no reason not to deploy."""
    plan = deployment.plan
    if deployment.previous is None or plan.restores:
        return
    image = plan.images["backend"]
    if runner.attempt(docker.image_id(image)).code != 0:
        return  # said of the image already
    try:
        yield schema_path(schema.ahead(deployment, image), deployment.previous.version)
    except (runner.CommandError, DeployError) as error:
        remedy = "The step of the migrations looks again, and stops before anything is changed."
        yield Finding("schema", "warning", str(error).strip().splitlines()[-1], remedy)


def schema_path(ahead: SchemaPlan, previous: str) -> Finding:
    """From where to where; no way back is said before it is taken."""
    if not ahead.pending:
        return Finding("schema", "ok", f"{ahead.current}, nothing is pending")
    found = f"{ahead.current}, then {', '.join(ahead.pending)}"
    if not ahead.pending_contracting:
        return Finding("schema", "ok", found)
    taken = ", ".join(ahead.pending_contracting)
    remedy = f"{taken} takes away what {previous} needs: afterwards only a restore leads back to it."
    return Finding("schema", "warning", found, remedy)


def _changes(deployment: Deployment) -> Finding:
    diff = writing.diff(deployment.place.directory, deployment.bundle)
    changed = [line.removeprefix("+++ ") for line in diff.splitlines() if line.startswith("+++ ")]
    return Finding("configuration", "ok", ", ".join(changed) if changed else "as it is on this node")


def _interruptions(deployment: Deployment) -> Iterator[Finding]:
    """What has to start anew and cannot do so beside itself."""
    if deployment.previous is None:
        return
    present = _read(deployment.place.directory, compose.FILE_NAME)
    wanted = deployment.bundle[compose.FILE_NAME].text
    again = decisions.changed_services(present, wanted, ("nginx", "postgresql", "redis", "rustfs"))
    again |= {
        service
        for file, service in ((".env.db", "postgresql"), (".env.redis", "redis"))
        if _read(deployment.place.directory, file) != deployment.bundle[file].text
    }
    again |= {
        name
        for name in decisions.components(deployment.place.config)
        if deployment.previous.images.get(name) != deployment.plan.images.get(name)
    }
    if deployment.plan.restart_database:
        again.add("postgresql")
    if again:
        remedy = "Requests fail for some seconds meanwhile; choose the time, or take that change back."
        yield Finding("interruption", "warning", f"{', '.join(sorted(again))} starts anew", remedy)


def _read(directory: Path, name: str) -> str:
    path = directory / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _backup(deployment: Deployment) -> Finding:
    if deployment.previous is None:
        return Finding("backup", "ok", "there is nothing to back up yet")
    latest = newest_backup(deployment.place.directory)
    if latest is None:
        return Finding("backup", "warning", "none yet", "One is made before anything changes.")
    age = utc_now() - latest
    said = f"{age.total_seconds() / 3600:.1f} h old"
    if age <= BACKUP_AGE:
        return Finding("backup", "ok", said)
    return Finding("backup", "warning", said, "One is made now; see why the daily one did not come.")


def newest_backup(directory: Path) -> datetime | None:
    """When the newest complete dump of the database began."""
    manifests = (directory / "backups" / "postgresql").glob("*/manifest.json")
    times = [str((files.read_json(path) or {}).get("started_at") or "") for path in manifests]
    known = sorted(time for time in times if time)
    return datetime.fromisoformat(known[-1]).astimezone(UTC) if known else None
