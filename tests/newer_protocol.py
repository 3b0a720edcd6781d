"""Messages as a neighbour one minor version ahead would send them: with fields nobody here has heard of."""

import json
from typing import Any  # Any: a decoded JSON document

FREE_FORM = {"env"}
"""Mappings whose keys are content, not fields."""


def with_unknown_fields(body: bytes) -> bytes:
    """The JSON document ``body`` with unknown fields of every type in each of its objects."""
    return json.dumps(_extended(json.loads(body))).encode()


def _extended(value: Any) -> Any:
    if isinstance(value, list):
        return [_extended(item) for item in value]
    if not isinstance(value, dict):
        return value
    known = {key: item if key in FREE_FORM else _extended(item) for key, item in value.items()}
    return {"a_newer_object": {"depth": [1, None]}, **known, "a_newer_text": "fine", "a_newer_null": None}
