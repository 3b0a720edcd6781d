"""Durations as people write them in settings: ``15m``, ``7d``, ``90`` (seconds)."""

import re

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_duration(text: str) -> int:
    """Seconds in ``text``. Raises ``ValueError`` that names what was found and what is expected."""
    match = re.fullmatch(r"(\d{1,9})([smhdw]?)", text.strip().lower())
    if match is None:
        raise ValueError(f"found {text!r}, expected a whole number with s, m, h, d or w, such as 15m or 7d")
    return int(match[1]) * _UNITS[match[2] or "s"]
