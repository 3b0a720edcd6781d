"""What a field means, in the languages operators read."""

from typing import Any, Literal, get_args

import msgspec

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


def about(
    en: str, zh: str, *, says: str = "", **constraints: Any
) -> msgspec.Meta:  # Any: as msgspec.Meta takes them
    """Meaning in both languages, ``says`` (the constraint in words) and the constraints themselves."""
    return msgspec.Meta(description=says or None, extra={"en": en, "zh": zh}, **constraints)


def meaning(annotation: Any, language: Language) -> str:  # Any: what msgspec calls a type
    """The meaning of an annotated field, also of an optional one; empty without one."""
    for meta in getattr(annotation, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta) and meta.extra:
            return str(meta.extra[language])
    return next((text for option in get_args(annotation) if (text := meaning(option, language))), "")
