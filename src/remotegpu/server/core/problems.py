"""Every error leaves the API as ``application/problem+json`` (RFC 9457) with a stable ``code``."""

import re
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, InternalServerException, ValidationException
from psycopg.errors import LockNotAvailable, QueryCanceled
from redis.exceptions import RedisError
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import StaleDataError

from remotegpu.server.core import context, parameters
from remotegpu.server.core.errors import (
    ConflictError,
    InvalidError,
    MalformedError,
    RemoteGPUError,
    UnavailableError,
)

MEDIA_TYPE = "application/problem+json"
AnyRequest = Request[Any, Any, Any]  # Any: errors come before the types of user and state are known

UNEXPECTED = "an unexpected error; the request id leads to its log lines"

log = structlog.get_logger()


class FieldProblemView(msgspec.Struct, kw_only=True):
    field: str
    found: str
    expected: str


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """RFC 9457 problem details. ``code`` is stable; ``detail`` is for people; ``request_id`` finds the log lines."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldProblemView] = []
    retry_after: int | None = None


def respond(error: RemoteGPUError) -> Response[Problem]:
    """The response for an error of ours."""
    body = Problem(
        type="about:blank",
        title=error.title,
        status=error.status,
        detail=error.detail,
        code=error.code,
        request_id=context.current().request_id,
        errors=[FieldProblemView(field=e.field, found=e.found, expected=e.expected) for e in error.errors],
        retry_after=error.retry_after,
    )
    headers = {"Cache-Control": "no-store", **error.headers}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(body, status_code=error.status, media_type=MEDIA_TYPE, headers=headers)


def of_http(error: HTTPException, request: AnyRequest | None = None) -> RemoteGPUError:
    """Litestar's own refusals (unknown path, wrong method, unreadable body, wrong parameters) in our form."""
    if error.status_code >= 500:
        return RemoteGPUError(UNEXPECTED)
    if isinstance(error, ValidationException):
        return parameters.refused(error, request)
    code, title = _KNOWN.get(error.status_code, ("malformed", "The request cannot be read"))
    known = RemoteGPUError(_without_url(error.detail), code=code)
    known.status, known.title = error.status_code, title  # the class cannot know them
    allowed = (error.headers or {}).get("allow")
    if allowed:
        known.detail = f"this path has only {allowed}"
        known.headers["Allow"] = allowed
    return known


_KNOWN = {
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "This path has no such method"),
    413: ("too_large", "The body is too large"),
    415: ("unsupported_media_type", "The body has the wrong type"),
}


def _without_url(detail: str) -> str:
    return re.sub(r" for (GET|POST|PATCH|DELETE) http\S+", "", detail) or "the request cannot be understood"


def of_database(error: DBAPIError) -> RemoteGPUError:
    """A lost race becomes 409, a database that does not answer 503; anything else is our mistake."""
    if isinstance(error, IntegrityError):
        return ConflictError(
            "somebody else changed this at the same moment; look at it again and retry", code="conflict"
        )
    if isinstance(error, DataError):
        return InvalidError(
            "a value of this request is outside of what can be stored, such as a number beyond 2^63"
        )
    if isinstance(error.orig, LockNotAvailable | QueryCanceled):
        return UnavailableError(
            "the database is busy; nothing was changed, try again in a moment", code="database_busy"
        )
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return UnavailableError(
            "the database does not answer; nothing was changed, try again in a moment",
            code="database_unavailable",
        )
    return RemoteGPUError(UNEXPECTED)


def translate(error: Exception, request: AnyRequest | None = None) -> RemoteGPUError:
    """Any exception as one of ours."""
    match error:
        case RemoteGPUError():
            known = error
        case InternalServerException(detail="client disconnected prematurely"):
            # Litestar's word for a request whose body never came; nobody reads the answer, and nothing is broken.
            known = MalformedError("the client left before its request had arrived", code="client_left")
        case HTTPException():
            known = of_http(error, request)
        case DBAPIError():
            known = of_database(error)
        case PoolTimeoutError():
            known = UnavailableError(
                "the server is busy; nothing was changed, try again in a moment", code="database_busy"
            )
        case StaleDataError():
            known = ConflictError("somebody else changed this at the same moment; look at it again and retry")
        case RedisError():
            known = UnavailableError(
                "the cache does not answer; try again in a moment", code="cache_unavailable"
            )
        case _:
            known = RemoteGPUError(UNEXPECTED)
    return known


def log_unexpected(error: Exception, answer: RemoteGPUError) -> None:
    """Errors nobody planned for, with their traceback. What is merely away is said in one line for each request."""
    if isinstance(answer, UnavailableError):
        log.warning("request not served", code=answer.code, error=str(error)[:300])
    elif answer.status >= 500:
        log.error("request failed", code=answer.code, error=str(error)[:1000], exc_info=error)
