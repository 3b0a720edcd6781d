"""What the OpenAPI document says of every route without each route saying it: its refusals, and whether to sign in."""

from http import HTTPStatus

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Components, SecurityScheme
from litestar.params import ParameterKwarg
from litestar.routes import HTTPRoute

from remotegpu.server.core import guards
from remotegpu.server.core.guards import Allow
from remotegpu.server.core.problems import MEDIA_TYPE, Problem

DESCRIPTIONS = {
    HTTPStatus.BAD_REQUEST: "The body cannot be read as JSON",
    HTTPStatus.UNAUTHORIZED: "Not signed in, or the token is no longer good",
    HTTPStatus.FORBIDDEN: "Not allowed for this role or in this state of the account",
    HTTPStatus.NOT_FOUND: "There is none, or it belongs to somebody else",
    HTTPStatus.CONFLICT: "The state does not allow this; the detail says why",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than what is taken here",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not application/json",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Fields or parameters cannot be used; errors names each",
    HTTPStatus.UPGRADE_REQUIRED: "The agent is too old or too new for this server",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many failures; retry_after says when to try again",
    HTTPStatus.SERVICE_UNAVAILABLE: "A part of the platform does not answer; nothing was changed",
}
CHANGING = {"POST", "PATCH", "PUT", "DELETE"}
SCHEMES = Components(
    security_schemes={
        "bearer": SecurityScheme(
            type="http",
            scheme="bearer",
            description="Access token from /auth/login, personal access token (rgp_…), or an agent's node token",
        )
    }
)


def complete(app: Litestar) -> None:
    """Add to every documented route what it may refuse. To be called before the document is first asked for."""
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler in route.route_handlers:
            allow = guards.declared(handler)
            if allow is None or not handler.resolve_include_in_schema():
                continue
            refusals = {int(status): _problem(status) for status in sorted(_statuses(route, handler, allow))}
            handler.responses = {**refusals, **(handler.responses or {})}
            if allow.public or handler.handler_name in _WITH_A_SECRET_IN_THE_BODY:
                handler.security = [{}]


_WITH_A_SECRET_IN_THE_BODY = {"enrol"}
"""Guarded, but not by a token in the header."""


def _problem(status: HTTPStatus) -> ResponseSpec:
    return ResponseSpec(
        Problem,
        generate_examples=False,
        description=DESCRIPTIONS[status],
        media_type=MEDIA_TYPE,  # pyright: ignore[reportArgumentType] - any text is taken
    )


def _statuses(route: HTTPRoute, handler: HTTPRouteHandler, allow: Allow) -> set[HTTPStatus]:
    """From what the route declares: its guard, its path, its body, its parameters."""
    has_body = handler.parsed_data_field is not None
    rules = {
        (HTTPStatus.SERVICE_UNAVAILABLE,): route.path.startswith("/api/"),
        (HTTPStatus.UNAUTHORIZED,): not allow.public or has_body,
        (HTTPStatus.FORBIDDEN,): bool(allow.roles) or (allow.public and has_body),
        (HTTPStatus.UPGRADE_REQUIRED,): allow.agent,
        (HTTPStatus.NOT_FOUND,): bool(route.path_parameters) or (has_body and not allow.public),
        _OF_BODIES: has_body,
        _OF_PARAMETERS: has_body or bool(route.path_parameters) or _has_parameters(handler),
        (HTTPStatus.CONFLICT,): bool(CHANGING & set(handler.http_methods)),
        (HTTPStatus.TOO_MANY_REQUESTS,): handler.handler_name in _COUNTS_FAILURES,
    }
    return {status for statuses, applies in rules.items() if applies for status in statuses}


_OF_BODIES = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
_OF_PARAMETERS = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
_COUNTS_FAILURES = {"login", "change_password"}


def _has_parameters(handler: HTTPRouteHandler) -> bool:
    """Whether anything of the URL or the headers is read, by the handler or by what it depends on."""
    wanted = handler.parsed_fn_signature.parameters
    signatures = [handler.parsed_fn_signature]
    signatures += [
        provider.parsed_fn_signature
        for name, provider in handler.resolve_dependencies().items()
        if name in wanted
    ]
    return any(
        isinstance(field.kwarg_definition, ParameterKwarg)
        for s in signatures
        for field in s.parameters.values()
    )
