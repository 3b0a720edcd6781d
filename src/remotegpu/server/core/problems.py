"""Every error leaves the API as ``application/problem+json`` (RFC 9457) with a stable ``code``."""

import re
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from psycopg.errors import LockNotAvailable, QueryCanceled
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import StaleDataError

from remotegpu.server.core import context
from remotegpu.server.core.errors import ConflictError, FieldProblem, RemoteGPUError, UnavailableError

MEDIA_TYPE = "application/problem+json"
AnyRequest = Request[Any, Any, Any]  # Any: errors come before the types of user and state are known

log = structlog.get_logger()


class FieldProblemView(msgspec.Struct, kw_only=True):
    field: str
    found: str
    expected: str


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """RFC 9457 problem details. ``code`` is stable; ``detail`` is for people; ``request_id`` finds the log lines."""

    type: str | None
    title: str | None
    status: int | None
    detail: str | None
    code: str | None
    request_id: str | None
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
    headers = {"Cache-Control": "no-store"}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(body, status_code=error.status, media_type=MEDIA_TYPE, headers=headers)


def of_http(error: HTTPException) -> RemoteGPUError:
    """Litestar's own refusals (unknown path, wrong method, unreadable body, wrong parameters) in our form."""
    codes = {
        400: "malformed",
        404: "not_found",
        405: "method_not_allowed",
        413: "too_large",
        415: "unsupported_media_type",
    }
    titles = {404: "Not found", 405: "This path has no such method", 413: "The body is too large"}
    problems = [_field_problem(entry) for entry in _entries(error)]
    known = RemoteGPUError(
        _readable(error, problems), code=codes.get(error.status_code, "invalid"), errors=problems
    )
    known.status = error.status_code  # the class cannot know it
    known.title = titles.get(error.status_code, "The request is not valid")
    return known


def _entries(error: HTTPException) -> list[dict[str, Any]]:  # Any: Litestar's own shape
    extra = error.extra if isinstance(error, ValidationException) else None
    return [entry for entry in extra if isinstance(entry, dict)] if isinstance(extra, list) else []


def _field_problem(entry: dict[str, Any]) -> FieldProblem:  # Any: Litestar's own shape
    source = entry.get("source")
    where = f"{source}." if source and str(source) not in {"body", "ParamType.BODY"} else ""
    return FieldProblem(
        f"{where}{entry.get('key', '')}".strip("."), "an unusable value", str(entry.get("message", ""))
    )


def _readable(error: HTTPException, problems: list[FieldProblem]) -> str:
    if problems:
        return "; ".join(f"{problem.field or 'body'}: {problem.expected}" for problem in problems)
    return (
        re.sub(r" for (GET|POST|PATCH|DELETE) http\S+", "", error.detail)
        or "the request cannot be understood"
    )


def of_database(error: DBAPIError) -> RemoteGPUError:
    """A lost race becomes 409, a database that does not answer 503; anything else is our mistake."""
    if isinstance(error, IntegrityError):
        return ConflictError(
            "somebody else changed this at the same moment; look at it again and retry", code="conflict"
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
    return RemoteGPUError("an unexpected error; the request id leads to its log lines")


def translate(error: Exception) -> RemoteGPUError:
    """Any exception as one of ours."""
    match error:
        case RemoteGPUError():
            known = error
        case HTTPException():
            known = of_http(error)
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
            known = RemoteGPUError("an unexpected error; the request id leads to its log lines")
    return known


def log_unexpected(error: Exception, answer: RemoteGPUError) -> None:
    """Errors nobody planned for, with their traceback."""
    if answer.status >= 500:
        log.error("request failed", code=answer.code, error=str(error)[:1000], exc_info=error)
