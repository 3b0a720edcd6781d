"""Who is asking, from where, under which request id: known everywhere below a request without passing it along."""

import uuid
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

from remotegpu.server.core.errors import RemoteGPUError


class Role(StrEnum):
    ADMIN = "admin"
    OWNER = "customer_owner"
    MEMBER = "customer_member"


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The signed-in person. ``customer_id`` is None for admins only. ``via``: ``session``, ``token`` or ``ticket``.

    ``credential``: which one, as :mod:`remotegpu.server.domains.auth.credentials` names it.
    """

    user_id: uuid.UUID
    email: str
    display_name: str
    role: Role
    customer_id: uuid.UUID | None
    must_change_password: bool = False
    via: str = "session"
    credential: str = ""

    @property
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN


@dataclass
class RequestContext:
    """``refusal``: (status, code, reason) of the error being answered, until it is recorded.

    ``claimed``: who an unauthenticated caller says to be, such as the e-mail address of a sign-in.
    """

    request_id: str = ""
    address: str = ""
    caller: Caller | None = None
    machine_id: uuid.UUID | None = None
    claimed: str = ""
    refusal: tuple[int, str, str] | None = None


_current: ContextVar[RequestContext | None] = ContextVar("remotegpu_request", default=None)


def current() -> RequestContext:
    """The context of this request, or an empty one in jobs and at start."""
    return _current.get() or RequestContext()


def refuse(error: RemoteGPUError) -> None:
    """Have a refusal recorded before the next message leaves: for handlers that answer it themselves."""
    current().refusal = (error.status, error.code, error.detail)


def enter(context: RequestContext) -> None:
    """Make ``context`` the one of the running request."""
    _current.set(context)
