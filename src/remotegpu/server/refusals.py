"""Errors become answers, and refusals become audit entries before the answer leaves."""

from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import Scope
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from remotegpu.server.core import context, problems
from remotegpu.server.core.database import transaction
from remotegpu.server.core.errors import RemoteGPUError
from remotegpu.server.core.problems import Problem
from remotegpu.server.core.services import Services
from remotegpu.server.domains.audit import service as audit

RECORDED = {401, 403, 404, 409, 426, 429}
ANONYMOUS_PER_MINUTE = 20
"""Refusals of unknown callers recorded per address and minute: a scanner must not fill the audit table."""
ALWAYS_RECORDED = {"invalid_credentials"}
"""Every wrong password: few, since the account locks, and what an investigation asks for first."""

NEVER_RECORDED = {"not_signed_in"}
"""The console asks so at its first page, whether there is a session to go on with."""

log = structlog.get_logger()


def answer(
    request: Request[Any, Any, Any], error: Exception
) -> Response[Problem]:  # Any: errors come before types
    """Exception handler of the whole application."""
    known = problems.translate(error, request)
    problems.log_unexpected(error, known)
    return problems.respond(known)


async def note(error: Exception, _scope: Scope) -> None:
    """Remember a refusal until it is recorded. A hook, since Litestar closes a refused WebSocket without a handler."""
    if _is_refusal(error):
        known = problems.translate(error)
        if known.status in RECORDED:
            context.current().refusal = (known.status, known.code, known.detail)


def log_broken_stream(error: Exception, scope: Scope) -> None:
    """WebSockets have no error response: their unexpected errors are logged here."""
    if scope["type"] == "websocket":
        known = problems.translate(error)
        problems.log_unexpected(error, known)
        if known.status in RECORDED and _is_refusal(error):
            context.current().refusal = (known.status, known.code, known.detail)


def _is_refusal(error: Exception) -> bool:
    """A mistyped path or method is no refusal; a foreign object, a missing right or a wrong password is."""
    if not isinstance(error, RemoteGPUError) or isinstance(error, HTTPException):
        return False
    return error.code not in NEVER_RECORDED


async def record(services: Services, scope: Scope) -> None:
    """Write down the refusal of this request, if there was one."""
    current = context.current()
    if current.refusal is None:
        return
    (status, code, reason), current.refusal = current.refusal, None
    detail: dict[str, object] = {"status": status, "code": code, "reason": _plain(reason)}
    detail |= _claimed(current.claimed)
    try:
        if current.caller is None and current.machine_id is None and code not in ALWAYS_RECORDED:
            count = await _refusals_of_this_minute(services, current.address)
            if count > ANONYMOUS_PER_MINUTE:
                return
            if count == ANONYMOUS_PER_MINUTE:
                detail["note"] = (
                    "further refusals of this address within the minute are counted in metrics only"
                )
        async with transaction(services.sessions) as tx:
            path = scope["path"][:200].replace("\x00", "")
            action = f"{scope.get('method', 'WS')} {route_of(scope)}"
            audit.record(tx, action, "route", path, outcome="denied", detail=detail)
    except (SQLAlchemyError, OSError):
        log.exception("refusal not recorded", code=code, reason=reason[:300])


def _claimed(name: str) -> dict[str, str]:
    return {"claimed": _plain(name)} if name else {}


def _plain(text: str) -> str:
    """PostgreSQL holds no NUL, and nobody reads more than this."""
    return text[:300].replace("\x00", "")


def route_of(scope: Scope) -> str:
    """The route's template, never the path itself: metric labels and audit actions must stay few."""
    if "route_handler" not in scope:
        return "unknown"
    return min(scope["route_handler"].paths, default="unknown")


async def _refusals_of_this_minute(services: Services, address: str) -> int:
    """How many there were, this one included. Without a cache to count in, each counts as the first."""
    key = f"anonymous-refusals:{address}"
    try:
        async with services.redis.pipeline(transaction=True) as pipe:
            pipe.set(key, 0, ex=60, nx=True)
            pipe.incr(key)
            return int((await pipe.execute())[1])
    except RedisError:
        return 1
