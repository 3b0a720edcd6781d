"""What is sent over HTTP, and what the answer to it has to be."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec


@dataclass(frozen=True, kw_only=True)
class Request:
    """A POST. ``query``: added to the channel's URL."""

    body: bytes
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Refusal:
    """Why the other side did not take it, although it answered with status 200. ``remedy``: what to do."""

    found: str
    remedy: str


def of_json(value: object) -> bytes:
    return msgspec.json.encode(value)
