"""Authentication of people: who is behind the ``Authorization`` header, before any guard runs."""

from litestar.connection import ASGIConnection
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult

from remotegpu.server.core import context, guards
from remotegpu.server.core.errors import NotAuthenticatedError
from remotegpu.server.domains.auth.callers import Callers


class PersonAuthentication(AbstractAuthenticationMiddleware):
    """Sets ``connection.user``. No header: None (a guard decides). A bad header: 401 with the reason.

    On public routes nobody looks: who comes with an expired token to renew it must not be refused for that.
    """

    async def authenticate_request(self, connection: ASGIConnection) -> AuthenticationResult:  # pyright: ignore[reportMissingTypeArgument,reportUnknownParameterType]
        allow = guards.declared(connection.route_handler)
        if allow is not None and allow.public:
            return AuthenticationResult(user=None, auth=None)
        callers: Callers = connection.app.state["callers"]
        token = bearer(connection.headers.get("authorization"))
        ticket = connection.query_params.get("ticket") if connection.scope["type"] == "websocket" else None
        caller = None
        if token is not None:
            caller = await callers.of_token(token)
        elif ticket is not None:
            caller = await callers.of_ticket(ticket, connection.scope["path"])
        context.current().caller = caller
        return AuthenticationResult(user=caller, auth=None)


def bearer(header: str | None) -> str | None:
    """The token of a ``Bearer`` header; None without a header."""
    if not header:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticatedError("the Authorization header is not 'Bearer TOKEN'", code="token_invalid")
    return token.strip()
