"""``site diagnose``: takes the steps of a handbook, concludes, and keeps the evidence without the secrets."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from remotegpu.kit.clock import utc_now
from remotegpu.kit.redaction import Redactor, redactor
from remotegpu.site import secrets
from remotegpu.site.config.model import Config
from remotegpu.site.diagnosing import agent, backend, database, evidence, walking
from remotegpu.site.diagnosing.asking import Site
from remotegpu.site.diagnosing.steps import Diagnosis, Step, conclude
from remotegpu.site.place import Place
from remotegpu.site.releases import Releases

Handbook = Literal["backend", "agent", "database"]
NOT_SECRET = (".pem", ".crt")
"""Certificates lie beside the secrets; hiding them would hide what is wrong with them."""


def diagnose(place: Place, handbook: Handbook, node: str, progress: walking.Progress) -> Diagnosis:
    """Look only. ``node``: the GPU host, for the handbook of agents.

    Raises :class:`PermissionError` when this user may not read the secrets, which then could not be hidden.
    """
    site = Site(place, Releases(place.directory).current(), utc_now())
    steps, otherwise = _handbook(site, handbook, node)
    findings = walking.walk(list(steps), redacting(place), progress)
    cause, next_step = conclude(findings, otherwise)
    return Diagnosis(
        site=place.config.site.name,
        handbook=handbook,
        about=node,
        at=site.now,
        findings=tuple(findings),
        likely_cause=cause,
        next_step=next_step,
        on_the_host=agent.on_the_host(site) if handbook == "agent" else (),
    )


def keep(diagnosis: Diagnosis, output: Path | None) -> Path:
    """Write the bundle. Raises :class:`FileExistsError`."""
    path = output or Path(evidence.file_name(diagnosis))
    evidence.write(path, diagnosis)
    return path


def _handbook(site: Site, handbook: Handbook, node: str) -> tuple[Iterable[Step], str]:
    if handbook == "backend":
        return backend.steps(site), backend.otherwise(site)
    if handbook == "database":
        return database.steps(site), database.otherwise(site)
    return agent.steps(site, node), agent.otherwise(site)


def redacting(place: Place) -> Redactor:
    """Knows every secret of the site. Raises :class:`PermissionError`."""
    paths = [*_originals(place), *_foreign(place.config)]
    return redactor(path.read_text(encoding="utf-8") for path in paths)


def _originals(place: Place) -> Iterator[Path]:
    """All files, whoever put them there, but for what is no secret: certificates, and the name of a role."""
    roles = {secret.name for secret in secrets.CATALOGUE if secret.kind == "role"}
    for path in sorted((place.originals / secrets.DIRECTORY).glob("*")):
        if path.is_file() and path.suffix not in NOT_SECRET and path.name not in roles:
            yield path


def _foreign(config: Config) -> Iterator[Path]:
    """Keys that the configuration names by file."""
    for store in (config.object_store, config.backup.offsite):
        if store is not None:
            yield from (
                Path(path) for path in (store.access_key_file, store.secret_key_file) if Path(path).exists()
            )
    if config.tls.key and Path(config.tls.key).exists():
        yield Path(config.tls.key)
