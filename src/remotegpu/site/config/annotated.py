"""The annotated ``remotegpu.yaml`` that ``site init`` writes, the reference page and the JSON Schema. Pure."""

import json
import textwrap
from collections.abc import Iterator
from typing import Any, get_args

import msgspec

from remotegpu.kit import explain
from remotegpu.site.config.model import Config, Section
from remotegpu.site.config.texts import Language, meaning

WIDTH = 100
REFERENCE = {
    "en": "docs/reference/site-config.md",
    "zh": "docs/reference/site-config.zh-CN.md",
}
_HEADS = {
    "en": "The whole site in one file. Check it with `remotegpu site check`; every key is explained in {page}.",
    "zh": "整个站点的配置。使用 `remotegpu site check` 校验；各项说明见 {page}。",
}
_COLUMNS = {
    "en": ("key", "meaning", "expects", "default"),
    "zh": ("配置项", "含义", "取值", "默认值"),
}
_REQUIRED = {"en": "required", "zh": "必填"}


def to_yaml(config: Config, language: Language) -> str:
    """The file with every key and a comment above each. Equal input gives equal bytes."""
    head = _comment(_HEADS[language].format(page=REFERENCE[language]), "")
    return "\n".join([*head, *_section(config, language, "")]) + "\n"


def _section(section: Section, language: Language, indent: str) -> Iterator[str]:
    for field in msgspec.structs.fields(type(section)):
        value = getattr(section, field.name)
        if not indent:
            yield ""
        yield from _comment(meaning(field.type, language), indent)
        if isinstance(value, Section):
            yield f"{indent}{field.name}:"
            yield from _section(value, language, indent + "  ")
        else:
            yield f"{indent}{field.name}: {_scalar(value)}"


def _comment(text: str, indent: str) -> list[str]:
    prefix = f"{indent}# "
    return textwrap.wrap(text, WIDTH, initial_indent=prefix, subsequent_indent=prefix)


def _scalar(value: object) -> str:
    """JSON is YAML: quotes where they matter, none around plain words."""
    if value is None:
        return "null"
    if isinstance(value, str) and value.replace("-", "").replace(".", "").isalnum() and value[0].isalpha():
        return (
            value if value not in {"true", "false", "null", "yes", "no", "on", "off"} else json.dumps(value)
        )
    return json.dumps(msgspec.to_builtins(value), ensure_ascii=False)


def reference(language: Language) -> str:
    """The table of all keys, in Markdown."""
    columns = _COLUMNS[language]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(row)} |" for row in _rows(Config, language, "")]
    return "\n".join(lines) + "\n"


def _rows(section: type[Section], language: Language, path: str) -> Iterator[tuple[str, ...]]:
    for field in msgspec.structs.fields(section):
        key = f"{path}{field.name}"
        inner = sections_in(field.type)
        if not inner:
            expects = explain.expected_by(field.type).replace("|", "\\|")
            yield f"`{key}`", meaning(field.type, language), expects, _default(field, language)
        else:
            yield f"**`{key}`**", meaning(field.type, language), "", _default(field, language, inner[0])
            for each in inner:
                yield from _rows(each, language, f"{key}{_place(field.type, each)}.")


def _place(annotation: Any, section: type[Section]) -> str:  # Any: what msgspec calls a type
    """How an entry is called in the reference: by its name in a dictionary, by its kind in a list of several."""
    if _is_dict(annotation):
        return ".NAME"
    tag = section.__struct_config__.tag
    return f"[{tag}]" if tag else ""


def _default(
    field: Any, language: Language, inner: type[Section] | None = None
) -> str:  # Any: msgspec's own type
    if field.required:
        return "" if inner is not None else _REQUIRED[language]
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    return "" if isinstance(value, Section) else f"`{json.dumps(msgspec.to_builtins(value))}`"


def sections_in(annotation: Any) -> list[type[Section]]:  # Any: what msgspec calls a type
    """The sections inside an annotation, also as content of a dictionary or list; none for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [found for option in get_args(annotation) for found in sections_in(option)]


def _is_dict(annotation: Any) -> bool:  # Any: same
    return any(getattr(option, "__origin__", None) is dict for option in get_args(annotation))


def json_schema() -> str:
    """For editors that complete and check while one types."""
    return json.dumps(msgspec.json.schema(Config), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
