"""Pins components to digests in ``remotegpu.yaml``, and leaves everything else of the file as it is. Pure."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.representer import RoundTripRepresenter

from remotegpu.site.image_sets.inventory import SiteImage

Result = Literal["pinned", "unchanged", "no digest", "not here"]


class Pin(msgspec.Struct, kw_only=True, frozen=True):
    """``after``: the reference to write; as ``before`` where nothing can be promised."""

    component: str
    before: str
    after: str
    result: Result


def decide(images: Sequence[SiteImage]) -> list[Pin]:
    """For components; releases are held to the ids that they recorded."""
    return [_pin(image) for image in images]


def _pin(image: SiteImage) -> Pin:
    def as_it_is(result: Result) -> Pin:
        return Pin(component=image.name, before=image.reference, after=image.reference, result=result)

    if not image.id:
        return as_it_is("not here")
    if not image.digest:
        return as_it_is("no digest")
    after = f"{image.reference.partition('@')[0]}@{image.digest}"
    if after == image.reference:
        return as_it_is("unchanged")
    return Pin(component=image.name, before=image.reference, after=after, result="pinned")


class _Representer(RoundTripRepresenter):
    """Writes ``null`` as the annotated file has it, not as nothing."""

    def represent_none(self, data: Any) -> Any:  # noqa: ARG002 - ruamel's signature, and its own types
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _Representer.represent_none)


def rewritten(text: str, pins: Mapping[str, str]) -> str:
    """``text`` of ``remotegpu.yaml`` with ``pins`` (component -> reference) in ``images``. Comments stay."""
    yaml = YAML(typ="rt")
    yaml.Representer = _Representer
    yaml.preserve_quotes = True
    yaml.width = 100_000
    document = yaml.load(text)
    if document.get("images") is None:
        document["images"] = {}
    for component, reference in pins.items():
        document["images"][component] = reference
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()
