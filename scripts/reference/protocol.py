"""``docs/reference/agent-protocol.md``: every message between agent and server, field by field."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import msgspec

from reference.marks import cell, header, plain
from remotegpu import protocol
from remotegpu.protocol.version import PROTOCOL_HEADER, PROTOCOL_VERSION

FOR_OTHERS = {"metrics"}
"""Modules of what is said to others than agents."""


def page() -> str:
    text = header("`src/remotegpu/protocol/`") + "# Agent protocol\n\n"
    text += f"Protocol version {PROTOCOL_VERSION}, sent by the agent in the header `{PROTOCOL_HEADER}`. "
    text += "Bodies are JSON; a field that the receiver does not know is ignored.\n"
    text += "The agent dials out only: it polls `sync`, and dials a WebSocket for each stream it is told to open.\n"
    for name in sorted(module.name for module in pkgutil.iter_modules(protocol.__path__)):
        if name not in FOR_OTHERS:
            text += module_section(name)
    return text


def module_section(name: str) -> str:
    module = importlib.import_module(f"remotegpu.protocol.{name}")
    text = f"\n## {name}\n\n{plain(module.__doc__)}\n"
    for member in vars(module).values():
        if (
            inspect.isclass(member)
            and issubclass(member, msgspec.Struct)
            and member.__module__ == module.__name__
        ):
            text += struct_section(member)
    return text


def struct_section(struct: type[msgspec.Struct]) -> str:
    rows = ["| field | type | default |", "|---|---|---|"]
    for field in msgspec.structs.fields(struct):
        required = field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT
        default = "" if required else f"`{show_default(field)}`"
        rows.append(f"| `{field.name}` | `{cell(show_type(field.type))}` | {default} |")
    described = plain(inspect.getdoc(struct)) if struct.__doc__ else ""
    return f"\n### {struct.__name__}\n\n" + (f"{described}\n\n" if described else "") + "\n".join(rows) + "\n"


def show_default(field: msgspec.structs.FieldInfo) -> object:
    if field.default is not msgspec.NODEFAULT:
        return repr(field.default)
    factory = field.default_factory
    return repr(factory()) if callable(factory) else ""


def show_type(found: object) -> str:
    """``list[remotegpu.protocol.sync.AccountSpec]`` → ``list[AccountSpec]``."""
    text = found.__name__ if isinstance(found, type) and not hasattr(found, "__args__") else str(found)
    for prefix in (
        "typing.",
        *(f"remotegpu.protocol.{m.name}." for m in pkgutil.iter_modules(protocol.__path__)),
    ):
        text = text.replace(prefix, "")
    return text
