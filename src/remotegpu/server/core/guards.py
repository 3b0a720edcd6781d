"""Every route declares who may use it: one :class:`Allow`, checked before anything of the request is read.

A test walks all routes and fails on one without. Ownership is not decided here but in each query.
"""

from dataclasses import dataclass

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from remotegpu.server.core import context
from remotegpu.server.core.context import Caller, Role
from remotegpu.server.core.errors import ForbiddenError, NotAuthenticatedError

Connection = ASGIConnection[BaseRouteHandler, Caller | None, object, object]  # pyright: ignore[reportInvalidTypeArguments]


@dataclass(frozen=True)
class Allow:
    """``roles``: who. ``public``: nobody needs to sign in. ``agent``: node tokens, checked by the agent routes.

    ``before_password_change``: also usable while a new password is still owed.
    """

    roles: frozenset[Role] = frozenset()
    public: bool = False
    agent: bool = False
    before_password_change: bool = False

    async def __call__(self, connection: Connection, _handler: BaseRouteHandler) -> None:
        """Asynchronous without need: Litestar would move a plain function to a thread for every request."""
        if self.public or self.agent:
            return
        caller = connection.user
        if caller is None:
            raise NotAuthenticatedError("this needs a signed-in user: send Authorization: Bearer TOKEN")
        if caller.must_change_password and not self.before_password_change:
            raise ForbiddenError(
                "change your password first: POST /api/v1/auth/password", code="password_change_required"
            )
        if caller.role not in self.roles:
            allowed = ", ".join(sorted(self.roles))
            raise ForbiddenError(f"your role is {caller.role.value}, this needs one of: {allowed}")


PUBLIC = Allow(public=True)
AGENT = Allow(agent=True)
ADMIN = Allow(frozenset({Role.ADMIN}))
OWNER = Allow(frozenset({Role.ADMIN, Role.OWNER}))
ANYONE = Allow(frozenset(Role))
ANYONE_EVEN_WITH_OLD_PASSWORD = Allow(frozenset(Role), before_password_change=True)


def declared(handler: BaseRouteHandler) -> Allow | None:
    """What a route declares; None for one that forgot to."""
    return next((guard for guard in handler.resolve_guards() if isinstance(guard, Allow)), None)


def caller_of_request() -> Caller:
    """The signed-in caller below a guarded route."""
    caller = context.current().caller
    if caller is None:
        raise NotAuthenticatedError("this needs a signed-in user")
    return caller


async def provide_caller() -> Caller:
    """Litestar dependency ``caller``."""
    return caller_of_request()
