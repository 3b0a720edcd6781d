"""Which images a site is made of, and which of them are on this node."""

from collections.abc import Mapping
from typing import Any

import msgspec

from remotegpu.site import runner
from remotegpu.site.commands import docker
from remotegpu.site.config.model import Config
from remotegpu.site.config.versions import image_of
from remotegpu.site.deploying import decisions
from remotegpu.site.releases import Release
from remotegpu.site.status.gathering.engine import json_lines, stand_in_of


class Wanted(msgspec.Struct, kw_only=True, frozen=True):
    """``id``: what a release recorded; empty where the reference alone says which image it is."""

    name: str
    reference: str
    id: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether it comes with a release, and not from a component's own project."""
        return self.name in decisions.PROGRAMS


class SiteImage(msgspec.Struct, kw_only=True, frozen=True):
    """``id``: empty when it is not on this node. ``digest``: of the registry it came from; empty when it was built or
    loaded here. ``stand_in``: what it really is, when only tests may take it for the real one. ``size``: bytes.
    """

    name: str
    reference: str
    id: str
    digest: str
    size: int
    stand_in: str


def wanted(config: Config, release: Release | None) -> list[Wanted]:
    """Of the release that serves, as they were recorded, and of the one that the file asks for. Pure."""
    found: list[Wanted] = []
    if release is not None:
        found += [
            Wanted(name=name, reference=reference, id=release.image_ids.get(name, ""))
            for name, reference in release.images.items()
        ]
    known = {image.reference for image in found}
    asked_for = decisions.image_references(config, config.release.version)
    return found + [
        Wanted(name=name, reference=reference)
        for name, reference in asked_for.items()
        if reference not in known
    ]


def components(config: Config) -> list[Wanted]:
    """Those that the file asks for and that are not ours. Pure."""
    return [
        Wanted(name=name, reference=image_of(name, config.images)) for name in decisions.components(config)
    ]


def look(images: list[Wanted]) -> list[SiteImage]:
    """Asks the engine, one by one: what is not here is a finding, not an error."""
    return [described(image, _inspected(image.id or image.reference)) for image in images]


def _inspected(reference: str) -> Mapping[str, Any] | None:  # Any: the engine's JSON
    done = runner.attempt(docker.describe_images((reference,)))
    return next(json_lines(done.output), None) if done.code == 0 else None


def described(image: Wanted, found: Mapping[str, Any] | None) -> SiteImage:  # Any: same
    """Pure."""
    return SiteImage(
        name=image.name,
        reference=image.reference,
        id=found["Id"] if found else "",
        digest=registry_digest(image.reference, found.get("RepoDigests") or []) if found else "",
        size=found.get("Size", 0) if found else 0,
        stand_in=stand_in_of(found) if found else "",
    )


def registry_digest(reference: str, digests: list[str]) -> str:
    """``sha256:…`` that the registry of ``reference`` calls the image by; empty when it knows none. Pure."""
    repository = repository_of(reference)
    return next((each.partition("@")[2] for each in digests if repository_of(each) == repository), "")


def repository_of(reference: str) -> str:
    """``host:5000/team/nginx`` of ``host:5000/team/nginx:1.30.4@sha256:…``; Docker Hub's without its address."""
    name = reference.partition("@")[0]
    path, _, last = name.rpartition("/")
    whole = f"{path}/{last.partition(':')[0]}" if path else last.partition(":")[0]
    return whole.removeprefix("docker.io/").removeprefix("library/")
