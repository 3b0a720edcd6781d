"""Authentication of people: who is behind the ``Authorization`` header, before any guard runs."""

from litestar.connection import ASGIConnection
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult

from remotegpu.server.core import context, guards
from remotegpu.server.core.context import Caller
from remotegpu.server.core.database import transaction
from remotegpu.server.core.errors import NotAuthenticatedError
from remotegpu.server.core.services import Services
from remotegpu.server.domains.auth import refresh, service, tickets


class PersonAuthentication(AbstractAuthenticationMiddleware):
    """Sets ``connection.user``. No header: None (a guard decides). A bad header: 401 with the reason.

    On public routes nobody looks: who comes with an expired token to renew it must not be refused for that.
    """

    async def authenticate_request(self, connection: ASGIConnection) -> AuthenticationResult:  # pyright: ignore[reportMissingTypeArgument,reportUnknownParameterType]
        allow = guards.declared(connection.route_handler)
        if allow is not None and allow.public:
            return AuthenticationResult(user=None, auth=None)
        services = connection.app.state["services"]
        token = bearer(connection.headers.get("authorization"))
        ticket = connection.query_params.get("ticket") if connection.scope["type"] == "websocket" else None
        caller = None
        if token is not None:
            caller = await caller_of(services, token)
        elif ticket is not None:
            caller = await caller_of_ticket(services, ticket, connection.scope["path"])
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


async def caller_of(services: Services, token: str) -> Caller:
    """The person behind an access JWT or a personal access token."""
    if token.startswith(service.TOKEN_PREFIX):
        async with transaction(services.sessions) as tx:
            return service.as_caller(await service.user_of_token(tx, token), "token")
    user_id, family = services.tokens.verify(token)
    if not await refresh.is_alive(services.redis, family):
        raise NotAuthenticatedError("the session has ended; sign in again", code="session_ended")
    async with services.sessions() as tx:
        user, _ = await service.user_of_session(tx, user_id)
        return service.as_caller(user, "session")


async def caller_of_ticket(services: Services, ticket: str, path: str) -> Caller:
    """The person behind a one-use WebSocket ticket."""
    user_id = await tickets.redeem(services.redis, ticket, path)
    async with services.sessions() as tx:
        user, _ = await service.user_of_session(tx, user_id)
        return service.as_caller(user, "ticket")
