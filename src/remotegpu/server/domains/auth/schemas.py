"""Bodies of the auth routes. Requests refuse unknown fields."""

import uuid
from datetime import datetime
from typing import Annotated

import msgspec

from remotegpu.server.core.context import Role
from remotegpu.server.core.patterns import AT_END

_HIDDEN = r"\x00-\x1f\x7f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff"
"""Control characters, and those that change direction or line without being seen: names must not deceive."""

Name = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=100,
        pattern=rf"^[^{_HIDDEN}]*[^\s{_HIDDEN}][^{_HIDDEN}]*{AT_END}",
        description="1 to 100 characters of any script, without control characters or changes of direction",
    ),
]
"""A name for people: any script."""
Email = Annotated[
    str,
    msgspec.Meta(
        max_length=254,
        pattern=rf"^[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(\.[A-Za-z0-9\-]+)*{AT_END}",
        description="an e-mail address such as li.wei@example.com",
    ),
]
Password = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Login(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    email: Annotated[str, msgspec.Meta(max_length=254)]
    password: Password


class RefreshRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``refresh_token`` for clients without cookies."""

    refresh_token: Annotated[str, msgspec.Meta(max_length=200)] | None = None


class PasswordChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    current_password: Password
    new_password: Password


class UserView(msgspec.Struct, kw_only=True):
    id: uuid.UUID
    email: str
    display_name: str
    role: Role
    customer_id: uuid.UUID | None
    customer_name: str | None
    must_change_password: bool
    disabled: bool
    created_at: datetime


class SignedIn(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``refresh_token`` only for clients that asked for it (``X-Token-Delivery: body``); browsers get a cookie."""

    access_token: str
    expires_in: int
    must_change_password: bool | None
    user: UserView
    refresh_token: str | None = None


class TokenCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name
    expires_in_days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 90


class TokenView(msgspec.Struct, kw_only=True):
    id: uuid.UUID
    name: str
    prefix: str
    expires_at: datetime
    created_at: datetime
    last_used_at: datetime | None


class TokenCreated(TokenView, kw_only=True):
    """``token`` is shown this once."""

    token: str


class SshKeyCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name
    public_key: Annotated[str, msgspec.Meta(min_length=20, max_length=8192)]


class SshKeyView(msgspec.Struct, kw_only=True):
    id: uuid.UUID
    name: str
    public_key: str
    fingerprint: str
    created_at: datetime
