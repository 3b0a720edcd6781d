"""Texts that are longer than a robot takes, in parts. Pure."""

import unicodedata

ZERO_WIDTH_JOINER = "\u200d"
SKIN_TONES = range(0x1F3FB, 0x1F400)


def split(text: str, limit: int) -> list[str]:
    """Parts of at most ``limit`` bytes of UTF-8: at the end of a line or word where there is one, never within a
    character, nor within one that is written as several, such as a family or a letter with an accent of its own.
    """
    if limit < 4:
        raise ValueError(f"found a limit of {limit} bytes, expected at least 4, the longest character")
    parts: list[str] = []
    while len(text.encode()) > limit:
        cut = _cut(text, limit)
        parts.append(text[:cut].rstrip("\n"))
        text = text[cut:].lstrip("\n")
    return [*parts, text]


def _cut(text: str, limit: int) -> int:
    """How many code points go into the first part. A cut that wastes more than half of it is not worth it."""
    fits = len(text.encode()[:limit].decode(errors="ignore"))
    for separator, kept in (("\n", 0), (" ", 1)):
        found = text.rfind(separator, 0, fits)
        if found > fits // 2:
            return found + kept
    cut = fits
    while cut > 1 and _is_one_character(text[cut - 1], text[cut]):
        cut -= 1
    return fits if cut == 1 and _is_one_character(text[0], text[1]) else cut


def _is_one_character(before: str, after: str) -> bool:
    return (
        ZERO_WIDTH_JOINER in {before, after}
        or unicodedata.category(after) in {"Mn", "Me", "Mc"}
        or ord(after) in SKIN_TONES
    )
