"""Bodies of the customer routes."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from remotegpu.server.core.patterns import AT_END
from remotegpu.server.domains.auth.schemas import Email, Name, UserView

CompanyCode = Annotated[
    str,
    msgspec.Meta(
        min_length=2,
        max_length=24,
        pattern=rf"^[a-z][a-z0-9-]*[a-z0-9]{AT_END}",
        description="2 to 24 lower-case letters, digits and dashes, beginning with a letter",
    ),
]


class CustomerCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    company_code: CompanyCode
    name: Name


class CustomerChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name | None = None
    status: Literal["active", "suspended"] | None = None


class CustomerView(msgspec.Struct, kw_only=True):
    """``members``: accounts; ``machines``: leased at this moment."""

    id: uuid.UUID
    company_code: str
    name: str
    status: Literal["active", "suspended"]
    members: int
    machines: int
    created_at: datetime


class MemberCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    email: Email
    display_name: Name
    role: Literal["customer_owner", "customer_member"]


class MemberChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    disabled: bool | None = None
    display_name: Name | None = None


class MemberCreated(UserView, kw_only=True):
    """``initial_password`` is shown this once and must be changed at the first sign-in."""

    initial_password: str


class InitialPassword(msgspec.Struct, kw_only=True):
    initial_password: str
