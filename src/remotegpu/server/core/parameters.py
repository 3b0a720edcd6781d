"""Wrong query parameters, headers and path parts, in the words of :mod:`remotegpu.kit.explain`."""

import re
from collections import Counter
from datetime import datetime
from functools import cache
from typing import Any

from litestar import Request
from litestar.exceptions import ValidationException
from litestar.handlers.base import BaseRouteHandler
from litestar.params import ParameterKwarg
from litestar.typing import FieldDefinition

from remotegpu.kit import explain
from remotegpu.server.core.errors import FieldProblem, InvalidError

AnyRequest = Request[Any, Any, Any]  # Any: errors come before the types of user and state are known


def refused(error: ValidationException, request: AnyRequest | None) -> InvalidError:
    """Litestar's refusal of parameters as ours, with what was found in each."""
    extra = error.extra if isinstance(error.extra, list) else []
    entries = [entry for entry in extra if isinstance(entry, dict)]
    problems = [
        _problem(str(entry.get("key", "")), str(entry.get("message", "")), request) for entry in entries
    ]
    if not problems:
        problems = _missing(error.detail)
    return _invalid(problems)


async def refuse_ambiguous(request: AnyRequest) -> None:
    """Before a handler runs: nothing twice (which of the two?), and nothing that only looks like what is wanted."""
    if not request.scope["query_string"]:
        return
    sent = list(request.query_params.multi_items())
    counts = Counter(name for name, _ in sent)
    problems = [
        FieldProblem(name, f"{count} values", "one value") for name, count in counts.items() if count > 1
    ]
    for name, value in sent:
        field = _by_public_name(request.route_handler).get(name) if _LOOKALIKE.fullmatch(value) else None
        if field is not None and _is_taken_for_another(value, field):
            problems.append(FieldProblem(name, value, explain.expected_by(field.raw)))
    if problems:
        raise _invalid(problems)


_LOOKALIKE = re.compile(r"null|[-+0-9.eE]+")


def _is_taken_for_another(value: str, field: FieldDefinition) -> bool:
    """``null`` would be read as left out, and a number as the seconds of a time."""
    kinds = {field.annotation, *(inner.annotation for inner in field.inner_types)}
    return str not in kinds if value == "null" else datetime in kinds


def _invalid(problems: list[FieldProblem]) -> InvalidError:
    names = ", ".join(problem.field for problem in problems)
    return InvalidError(f"unusable parameters: {names}" if names else "unusable parameters", errors=problems)


def _missing(detail: str) -> list[FieldProblem]:
    match = re.match(r"Missing required (?:\w+ )?parameter '([^']+)'", detail)
    return [FieldProblem(match[1], "nothing", "a value")] if match else []


def _problem(key: str, message: str, request: AnyRequest | None) -> FieldProblem:
    field = None if request is None else _field(request.route_handler, key)
    name = key if field is None else _public_name(field)
    sent = _sent(request, name)
    if field is None:
        return FieldProblem(name, sent or "nothing", message)
    problem = explain.of_message(message, sent, field.raw, name)
    found = "nothing" if sent is None else explain.shown(sent) or "an empty text"
    return FieldProblem(name, found, problem.expected)


def _field(handler: BaseRouteHandler, key: str) -> FieldDefinition | None:
    """The parameter named ``key`` in Python, of the handler or of one of its dependencies."""
    return next((found[key] for found in _signatures(handler) if key in found), None)


@cache
def _by_public_name(handler: BaseRouteHandler) -> dict[str, FieldDefinition]:
    fields = [field for found in _signatures(handler) for field in found.values()]
    return {_public_name(field): field for field in reversed(fields)}


def _signatures(handler: BaseRouteHandler) -> list[dict[str, FieldDefinition]]:
    providers = handler.resolve_dependencies().values()
    return [handler.parsed_fn_signature.parameters, *(p.parsed_fn_signature.parameters for p in providers)]


def _public_name(field: FieldDefinition) -> str:
    definition = field.kwarg_definition
    if isinstance(definition, ParameterKwarg):
        return definition.name or definition.query or definition.header or field.name
    return field.name


def _sent(request: AnyRequest | None, name: str) -> str | None:
    if request is None:
        return None
    value: Any = request.query_params.get(name, request.headers.get(name))  # Any: one text, or several
    return value if isinstance(value, str) or value is None else ", ".join(map(str, value))
