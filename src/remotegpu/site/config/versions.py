"""The manifest of component versions: which image each part of a site runs, until when it is repaired, and why."""

import importlib.resources
import re
from collections.abc import Mapping
from datetime import date
from functools import cache

import msgspec
from ruamel.yaml import YAML

MOVING_TAG = re.compile(r"[^\d]*|v?\d{1,4}(-[a-z]+)*")
"""``latest``, ``stable``, ``alpine``; and ``17`` or ``8-alpine``, which each minor version gets anew."""
REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")
NAMED_BY_COMMIT = re.compile(r".*-[0-9a-f]{7,40}")


class Component(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One image. ``plan``: what the deployment plan named; ``reason``: why it is another one."""

    image: str
    tag: str
    digest: str | None = None
    supported_until: date | None = None
    source: str
    plan: str
    reason: str

    @property
    def reference(self) -> str:
        """``image:tag``, with the digest where it is known."""
        return f"{self.image}:{self.tag}" + (f"@{self.digest}" if self.digest else "")


@cache
def manifest() -> Mapping[str, Component]:
    """By component."""
    text = (
        importlib.resources.files("remotegpu.site.config")
        .joinpath("versions.yaml")
        .read_text(encoding="utf-8")
    )
    return msgspec.convert(YAML(typ="safe", pure=True).load(text), dict[str, Component])


def image_of(component: str, overrides: Mapping[str, str]) -> str:
    """The image that a site runs for ``component``: its own choice, else the manifest's."""
    return overrides.get(component) or manifest()[component].reference


def is_fixed(reference: str) -> bool:
    """Whether an image reference means the same tomorrow, as far as a name can promise that."""
    tag = reference.rpartition("/")[2].partition("@")[0].partition(":")[2]
    return (
        "@sha256:" in reference
        or NAMED_BY_COMMIT.fullmatch(tag) is not None
        or MOVING_TAG.fullmatch(tag) is None
    )
