"""Says what is wrong with a value, field by field: JSON path, what was found, what is expected.

msgspec stops at the first problem; people who fill in a form want to see all of them. So a refused body is looked at
again, one field at a time. Pure. Values of fields that may hold secrets are never repeated.
"""

import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import inspect

MOST_PROBLEMS = 20
SHOWN_CHARACTERS = 60
SECRET = re.compile(r"password|token|secret|key|env|command|args|ticket|url_file", re.IGNORECASE)
"""Fields whose content is never repeated in an answer."""


@dataclass(frozen=True)
class FieldProblem:
    """One wrong field: its path, what was found, what is expected."""

    field: str
    found: str
    expected: str


_WHERE = re.compile(r"(?s)^(?P<message>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>[^`]*)`)?$")
_STEP = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
    "uuid": "a UUID",
    "datetime": "a time",
}
_TIME = "a time with its zone, such as 2026-11-24T06:30:00Z"


def problems_of(
    value: object, wanted: Any, path: str = "", *, most: int = MOST_PROBLEMS
) -> list[FieldProblem]:  # Any: a type to check against
    """Everything wrong with ``value`` (decoded JSON) as a ``wanted``, at most ``most`` entries."""
    found: list[FieldProblem] = []
    for problem in _walk(value, wanted, path):
        found.append(problem)
        if len(found) == most:
            break
    return found


def _walk(value: object, wanted: Any, path: str) -> Iterator[FieldProblem]:  # Any: same
    structs, item, entry = _structs_in(wanted), _item_of(wanted), _entry_of(wanted)
    if structs and isinstance(value, dict):
        yield from _walk_one_of(typing.cast("dict[str, object]", value), structs, path)
    elif _structs_in(item) and isinstance(value, list):
        for number, entry in enumerate(typing.cast("list[object]", value)):
            yield from _walk(entry, item, f"{path}[{number}]")
    elif _structs_in(entry[1]) and isinstance(value, dict):
        yield from _walk_dict(typing.cast("dict[str, object]", value), entry, path)
    else:
        yield from _single(value, wanted, path)


def _walk_dict(value: dict[str, object], entry: tuple[Any, Any], path: str) -> Iterator[FieldProblem]:
    for name, content in value.items():
        where = f"{path}.{shown(name)}".lstrip(".")
        if list(_single(name, entry[0], where)):
            yield FieldProblem(where, "an unusable name", expected_by(entry[0]))
        else:
            yield from _walk(content, entry[1], where)


def _walk_one_of(
    value: dict[str, object], structs: list[type[msgspec.Struct]], path: str
) -> Iterator[FieldProblem]:
    """Which one is meant stands in the field that tags them."""
    tag_field = structs[0].__struct_config__.tag_field
    if tag_field is None:
        yield from _walk_struct(value, structs[0], path)
        return
    by_tag = {str(struct.__struct_config__.tag): struct for struct in structs}
    tag = value.get(tag_field)
    if isinstance(tag, str) and tag in by_tag:
        yield from _walk_struct(value, by_tag[tag], path)
    else:
        found = shown(tag) if tag_field in value else "nothing"
        yield FieldProblem(f"{path}.{tag_field}".lstrip("."), found, "one of " + ", ".join(by_tag))


def _walk_struct(value: dict[str, object], struct: type[msgspec.Struct], path: str) -> Iterator[FieldProblem]:
    fields = msgspec.structs.fields(struct)
    for entry in fields:
        where = f"{path}.{entry.encode_name}".lstrip(".")
        if entry.encode_name in value:
            yield from _walk(value[entry.encode_name], entry.type, where)
        elif entry.required:
            yield FieldProblem(where, "nothing", expected_by(entry.type))
    if struct.__struct_config__.forbid_unknown_fields:
        tag_field = struct.__struct_config__.tag_field
        known = [*([tag_field] if tag_field else []), *(entry.encode_name for entry in fields)]
        for name in value.keys() - set(known):
            where = f"{path}.{shown(name)}".lstrip(".")
            yield FieldProblem(where, "an unknown field", "only " + ", ".join(known))


def _single(value: object, wanted: Any, path: str) -> Iterator[FieldProblem]:  # Any: same
    try:
        msgspec.convert(value, type=wanted, strict=True)
    except msgspec.ValidationError as error:
        yield of_message(str(error), value, wanted, path)


def of_message(message: str, value: object, wanted: Any, path: str) -> FieldProblem:  # Any: same
    """msgspec's message about ``value`` as a problem in plain words."""
    parts = _WHERE.match(message)
    assert parts is not None  # the pattern matches any text
    inner, text = parts["path"] or "", parts["message"]
    where = f"{path}{inner}".lstrip(".")
    info = _at(inspect.type_info(wanted), inner, key=parts["key"] is not None)
    found = "an unusable name" if parts["key"] else _found(value, inner, where, text)
    return FieldProblem(where, found, _expected(text, info))


def expected_by(wanted: Any) -> str:  # Any: same
    """In words, what a field of this type takes."""
    return _of_info(inspect.type_info(wanted))


def shown(value: object) -> str:
    """A value as it may be repeated: short, and printable whatever it holds."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    cut = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in cut)


def _structs_in(wanted: Any) -> list[type[msgspec.Struct]]:  # Any: same
    return [
        option
        for option in _options(wanted)
        if isinstance(option, type) and issubclass(option, msgspec.Struct)
    ]


def _item_of(wanted: Any) -> Any:  # Any: same
    for option in _options(wanted):
        if typing.get_origin(option) is list:
            return typing.get_args(option)[0]
    return None


def _entry_of(wanted: Any) -> tuple[Any, Any]:  # Any: same
    """Types of the names and of the contents of a dictionary."""
    for option in _options(wanted):
        if typing.get_origin(option) is dict:
            return typing.get_args(option)[0], typing.get_args(option)[1]
    return None, None


def _options(wanted: Any) -> tuple[Any, ...]:  # Any: same
    """``wanted`` without ``Annotated``; the members of a union."""
    if typing.get_origin(wanted) is typing.Annotated:
        wanted = typing.get_args(wanted)[0]
    if isinstance(wanted, types.UnionType) or typing.get_origin(wanted) is typing.Union:
        return tuple(member for option in typing.get_args(wanted) for member in _options(option))
    return (wanted,)


def _at(info: inspect.Type, path: str, *, key: bool) -> inspect.Type:
    """The type at ``path`` (such as ``[0].name``) inside ``info``; what is known of it when the path ends early."""
    for name, _index in _STEP.findall(path):
        bare = _without_null(info)
        if name and isinstance(bare, inspect.StructType):
            info = next((field.type for field in bare.fields if field.encode_name == name), bare)
        elif isinstance(bare, inspect.ListType):
            info = bare.item_type
        elif isinstance(bare, inspect.DictType):
            info = bare.value_type
    bare = _without_null(info)
    return bare.key_type if key and isinstance(bare, inspect.DictType) else info


def _without_null(info: inspect.Type) -> inspect.Type:
    if isinstance(info, inspect.Metadata):
        return _without_null(info.type)
    if isinstance(info, inspect.UnionType):
        return _without_null(
            next((t for t in info.types if not isinstance(t, inspect.NoneType)), info.types[0])
        )
    return info


def _described(info: inspect.Type) -> str | None:
    """The ``description`` of the ``Meta`` on a type, or on the one member of an optional."""
    if isinstance(info, inspect.Metadata):
        own = (info.extra_json_schema or {}).get("description")
        return own if isinstance(own, str) else _described(info.type)
    if isinstance(info, inspect.UnionType):
        return next((text for text in map(_described, info.types) if text), None)
    return None


def _found(value: object, inner: str, where: str, message: str) -> str:
    for name, index in _STEP.findall(inner):
        if isinstance(value, dict):
            value = typing.cast("dict[str, object]", value).get(name, ...)
        elif isinstance(value, list) and index.isdecimal():
            value = typing.cast("list[object]", value)[int(index)]
    if value is ...:
        return "one that cannot be used"
    if "of length" in message and isinstance(value, str):
        return f"{len(value)} characters"
    if isinstance(value, list):
        return f"a list of {len(typing.cast('list[object]', value))}"
    if isinstance(value, dict):
        return f"an object of {len(typing.cast('dict[str, object]', value))}"
    if SECRET.search(where):
        return "text that is not repeated here" if isinstance(value, str) else f"a {_kind(value)}"
    return shown(msgspec.json.encode(value).decode() if "got `" in message else value)


def _kind(value: object) -> str:
    return "boolean" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "null"


def _expected(message: str, info: inspect.Type) -> str:
    """In words, what msgspec's message wants."""
    if message.startswith("Expected `datetime`") or "RFC3339" in message:
        return _TIME
    if message.startswith("Invalid UUID"):
        return "a UUID"
    if message.startswith("Invalid enum value"):
        return _of_info(info)
    if " matching regex " in message:
        return _described(info) or "text that matches " + message.partition(" matching regex ")[2]
    wanted = re.match(r"Expected `([^`]*)`(?:, got `[^`]*`)?(.*)$", message)
    if wanted is None:
        return message
    words = " or ".join(_WORDS.get(name, name) for name in wanted[1].split(" | "))
    return f"{words}{wanted[2]}"


def _of_info(info: inspect.Type) -> str:
    described = _described(info)
    if described:
        return described
    if isinstance(info, inspect.Metadata):
        return _of_info(info.type)
    if isinstance(info, inspect.UnionType):
        return " or ".join(_of_info(option) for option in info.types)
    if isinstance(info, inspect.LiteralType):
        return "one of " + ", ".join(str(value) for value in info.values)
    if isinstance(info, inspect.EnumType):
        return "one of " + ", ".join(str(member.value) for member in info.cls)
    return _WORDS_OF_INFO.get(type(info).__name__, "a value")


_WORDS_OF_INFO = {
    "StrType": "text",
    "IntType": "a whole number",
    "FloatType": "a number",
    "BoolType": "true or false",
    "NoneType": "null",
    "UUIDType": "a UUID",
    "DateTimeType": _TIME,
    "ListType": "a list",
    "DictType": "an object",
    "StructType": "an object",
}
