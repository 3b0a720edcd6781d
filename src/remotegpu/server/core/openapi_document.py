"""The OpenAPI document as it is published: Litestar's, with what it leaves out of bodies and parameters put right."""

import inspect
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from remotegpu.server.core.problems import MEDIA_TYPE

Json = dict[str, Any]  # Any: JSON of many shapes
REFERENCE = "#/components/schemas/{name}"


def document(app: Litestar) -> Json:
    """The document. Takes a while: to be made once."""
    found = app.openapi_schema.to_schema()
    schemas = found["components"]["schemas"]
    for name, precise in _body_schemas(app).items():
        if name in schemas:
            _make_precise(schemas[name], precise)
    for path, method, handler in _documented(app):
        operation = found["paths"][path][method.lower()]
        operation |= _words(inspect.getdoc(handler.fn) or "")
        for parameter in operation.get("parameters", []):
            _without_null(parameter["schema"])
        data = handler.parsed_data_field
        if data is not None and data.is_optional:
            operation["requestBody"]["required"] = False
        _share_refusals(operation["responses"], found["components"].setdefault("responses", {}))
    return found


def _words(docstring: str) -> Json:
    """What a list of operations shows of each, and what it says beyond that."""
    first, _, rest = docstring.partition("\n")
    summary, *more = re.split(r"(?<=\w)[.;](?:\s+|$)", first, maxsplit=1)
    described = "\n".join(part for part in [*more, rest.strip()] if part).replace("``", "`")
    words = {"summary": summary.replace("``", "")}
    return words | ({"description": described[0].upper() + described[1:]} if described else {})


def _share_refusals(responses: Json, shared: Json) -> None:
    """Every refusal is described once and referred to, not once for each route."""
    responses.get("204", {}).pop(
        "content", None
    )  # Litestar describes the body of an answer without one as null
    for status, response in responses.items():
        if MEDIA_TYPE in response.get("content", {}):
            name = HTTPStatus(int(status)).phrase.replace(" ", "")
            shared[name] = response
            responses[status] = {"$ref": f"#/components/responses/{name}"}


def _documented(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                if handler.resolve_include_in_schema():
                    for method in handler.http_methods - {"OPTIONS", "HEAD"}:
                        yield route.path_format, str(method), handler


def _body_schemas(app: Litestar) -> Json:
    """msgspec's own JSON Schema of every body: with constraints on items, keys and unknown fields."""
    wanted = [handler.parsed_data_field for _, _, handler in _documented(app)]
    _, components = msgspec.json.schema_components(
        {field.annotation for field in wanted if field is not None}, ref_template=REFERENCE
    )
    return components


def _make_precise(known: Json, precise: Json) -> None:
    """What Litestar's schema of a struct lacks. The rest stays: generated clients depend on it."""
    if precise.get("additionalProperties") is False:
        known["additionalProperties"] = False
    for name, better in precise.get("properties", {}).items():
        for key in ("items", "additionalProperties", "propertyNames", "maxProperties"):
            if key in better and name in known["properties"]:
                known["properties"][name][key] = better[key]


def _without_null(schema: Json) -> None:
    """A parameter that may be left out is never ``null``: a URL cannot say that."""
    options = [option for option in schema.get("oneOf", []) if option.get("type") != "null"]
    if len(options) == 1:
        del schema["oneOf"]
        schema.update(options[0])
    if isinstance(schema.get("type"), list):
        (schema["type"],) = [kind for kind in schema["type"] if kind != "null"]
    if "enum" in schema:
        schema["enum"] = [value for value in schema["enum"] if value is not None]
