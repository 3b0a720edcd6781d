"""Bodies of requests: read strictly as what the route declares, refused with every wrong field named."""

from functools import cache
from typing import Any

import msgspec
from litestar import Request
from litestar.handlers.base import BaseRouteHandler

from remotegpu.kit import explain
from remotegpu.server.core.errors import (
    FieldProblem,
    InvalidError,
    MalformedError,
    UnsupportedMediaTypeError,
)


class JsonRequest(Request[Any, Any, Any]):  # Any: Litestar's request is generic over what an app puts in it
    """Decodes JSON as the type the handler declares. Litestar alone would be lax: ``"5"`` for 5, any content type."""

    async def json(self) -> Any:  # Any: whatever the handler declares
        """The body as the handler's type. Raises :class:`InvalidError` and friends."""
        check_content_type(self.headers.get("content-type", ""))
        return decode(await self.body(), _declared(self.route_handler))


def check_content_type(header: str) -> None:
    """Raise unless it is JSON. A form of another site could otherwise post with the browser's cookies."""
    media_type = header.partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMediaTypeError(
            f"the body is {explain.shown(media_type) or 'of no stated type'}, expected Content-Type: application/json"
        )


def decode(body: bytes, wanted: Any) -> Any:  # Any: a type, and an object of it
    """``body`` as a ``wanted``. Raises :class:`MalformedError` for what is no JSON, else :class:`InvalidError`."""
    try:
        return _decoder(wanted).decode(body)
    except msgspec.ValidationError as error:
        raise InvalidError(
            "the body has unusable fields", errors=_explained(body, wanted, str(error))
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(f"the body cannot be read as JSON: {_reason(error)}") from error


def _explained(body: bytes, wanted: Any, message: str) -> list[FieldProblem]:  # Any: a type
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(f"the body cannot be read as JSON: {_reason(error)}") from error
    return explain.problems_of(value, wanted) or [explain.of_message(message, value, wanted, "")]


def _reason(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


@cache
def _decoder(wanted: Any) -> msgspec.json.Decoder[Any]:  # Any: a type
    return msgspec.json.Decoder(wanted, strict=True)


def _declared(handler: BaseRouteHandler) -> Any:  # Any: a type
    field = handler.parsed_data_field
    return Any if field is None else field.raw
