"""The one exception handler: translate, record the refusal, answer."""

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from sqlalchemy.exc import SQLAlchemyError

from remotegpu.server.core import context, problems
from remotegpu.server.core.context import Caller
from remotegpu.server.core.database import transaction
from remotegpu.server.core.errors import RemoteGPUError
from remotegpu.server.core.problems import Problem
from remotegpu.server.core.services import Services
from remotegpu.server.domains.audit import service as audit

RECORDED = {401, 403, 404, 409, 429}
ANONYMOUS_PER_MINUTE = 20
"""Refusals of unknown callers recorded per address and minute: a scanner must not fill the audit table."""

log = structlog.get_logger()
AnyRequest = Request[Caller | None, None, object]  # pyright: ignore[reportInvalidTypeArguments]


async def answer(request: AnyRequest, error: Exception) -> Response[Problem]:
    """Exception handler of the whole application."""
    known = problems.translate(error)
    problems.log_unexpected(error, known)
    if known.status in RECORDED and _is_refusal(request, error, known):
        await _record(request.app.state["services"], request, known)
    return problems.respond(known)


def _is_refusal(request: AnyRequest, error: Exception, known: RemoteGPUError) -> bool:
    """A mistyped path is no refusal; a foreign object, a missing right or a wrong password is."""
    if isinstance(error, HTTPException):
        return False
    return known.status != 404 or request.scope.get("route_handler") is not None


async def _record(services: Services, request: AnyRequest, known: RemoteGPUError) -> None:
    current = context.current()
    if (
        current.caller is None
        and current.machine_id is None
        and not await _within_limit(services, current.address)
    ):
        return
    try:
        async with transaction(services.sessions) as tx:
            audit.record(
                tx,
                f"{request.method} {_route(request)}",
                "route",
                request.url.path[:200],
                outcome="denied",
                detail={"status": known.status, "code": known.code, "reason": known.detail[:300]},
            )
    except SQLAlchemyError as error:
        log.error("refusal not recorded", error=str(error)[:300], code=known.code)


def _route(request: AnyRequest) -> str:
    handler = request.scope.get("route_handler")
    paths = sorted(handler.paths) if handler is not None else []
    return paths[0] if paths else request.url.path[:200]


async def _within_limit(services: Services, address: str) -> bool:
    key = f"anonymous-refusals:{address}"
    count = await services.redis.incr(key)
    if count == 1:
        await services.redis.expire(key, 60)
    return count <= ANONYMOUS_PER_MINUTE
