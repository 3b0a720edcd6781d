"""What Docker says: containers, their images, and what the compose file wants."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from remotegpu.site import runner
from remotegpu.site.bundle import compose
from remotegpu.site.commands import docker
from remotegpu.site.commands.compose import Compose
from remotegpu.site.config.model import Config
from remotegpu.site.config.versions import image_of, manifest
from remotegpu.site.place import Place
from remotegpu.site.runner import Command
from remotegpu.site.status.facts import Container, ImageInUse, RunningComponent, Unknown

STAND_IN = "org.remotegpu.stand-in"
"""Label of an image that only tests may take for the one it is called."""
KEPT = "remotegpu-kept-"
"""See :func:`remotegpu.site.images.kept_name`."""
ENGINE = "Look whether Docker runs, and whether this user may ask it: docker info"
Described = Mapping[str, Any]
"""JSON of the engine."""


def services(place: Place) -> tuple[str, ...] | Unknown:
    """Those of the compose file that are to stay up."""
    path = place.directory / compose.FILE_NAME
    try:
        document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        return tuple(name for name, service in document["services"].items() if not service.get("profiles"))
    except FileNotFoundError:
        return Unknown(f"there is no {path}", "Bring a release: remotegpu site deploy")
    except (OSError, YAMLError, KeyError, TypeError, AttributeError) as error:
        return Unknown(f"{path} cannot be read: {error}", "Write it anew: remotegpu site render")


def containers(place: Place) -> tuple[Container, ...] | Unknown:
    """Of the whole site, one-off ones left out."""
    found = _ask(Compose(place.directory).containers())
    if isinstance(found, Unknown):
        return found
    ids = tuple(str(entry["ID"]) for entry in found)
    described = _ask(docker.describe_containers(ids)) if ids else []
    if isinstance(described, Unknown):
        return described
    return tuple(container_of(entry) for entry in described if not _is_one_off(entry))


def _ask(command: Command) -> list[Described] | Unknown:
    done = runner.attempt(command)
    found = list(json_lines(done.output))
    if done.code != 0 and not found:
        return Unknown(done.output.strip()[-300:] or f"Docker ended with {done.code}", ENGINE)
    return found


def json_lines(output: str) -> Iterator[Described]:
    """Every line that is a JSON object; warnings stand between them."""
    for line in output.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def _is_one_off(entry: Described) -> bool:
    return str(_labels(entry).get("com.docker.compose.oneoff", "")) == "True"


def _labels(entry: Described) -> Described:
    return entry["Config"].get("Labels") or {}


def container_of(entry: Described) -> Container:
    """From ``docker container inspect``. Pure."""
    state = entry["State"]
    return Container(
        service=str(_labels(entry).get("com.docker.compose.service", entry["Name"].lstrip("/"))),
        state=state["Status"],
        health=(state.get("Health") or {}).get("Status", ""),
        restarts=entry.get("RestartCount", 0),
        started_at=started_at(state["StartedAt"]),
        exit_code=state["ExitCode"],
        out_of_memory=state["OOMKilled"],
        image_id=entry["Image"],
    )


def started_at(text: str) -> datetime | None:
    """RFC 3339 with nanoseconds, which Python 3.11 cuts to microseconds by itself; year 1 stands for never."""
    moment = datetime.fromisoformat(text)
    return moment if moment.year > 1 else None


def images_of(found: tuple[Container, ...] | Unknown) -> tuple[ImageInUse, ...] | Unknown:
    """What the containers are made of."""
    if isinstance(found, Unknown):
        return found
    ids = tuple(sorted({container.image_id for container in found}))
    described = _ask(docker.describe_images(ids)) if ids else []
    if isinstance(described, Unknown):
        return described
    by_image = {container.image_id: container.service for container in found}
    return tuple(
        ImageInUse(
            reference=best_name(entry.get("RepoTags") or [])
            or f"{entry['Id'][7:19]} of {by_image.get(entry['Id'], 'the site')}",
            stand_in=stand_in_of(entry),
        )
        for entry in described
    )


def best_name(tags: Sequence[str]) -> str:
    """The one people know it by: names of our own only keep an image from being cleared away. Pure."""
    return next((tag for tag in tags if not tag.startswith(KEPT)), next(iter(tags), ""))


def stand_in_of(entry: Described) -> str:
    """From ``docker image inspect``: what the label says; empty without one."""
    return str(((entry.get("Config") or {}).get("Labels") or {}).get(STAND_IN, ""))


def components(config: Config) -> tuple[RunningComponent, ...]:
    """Those that this site runs, by the manifest."""
    return tuple(
        RunningComponent(
            name=name,
            runs=image_of(name, config.images),
            manifest=one.reference,
            supported_until=one.supported_until,
        )
        for name, one in manifest().items()
        if name != "rustfs" or config.components.rustfs
    )
