"""Bodies of the access routes."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

import msgspec

SessionState = Literal["connecting", "active", "closed", "terminated", "lost"]
SessionProtocol = Literal["terminal", "ssh"]


class CertificateRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``public_key``: one OpenSSH line; the private key stays where it is."""

    public_key: Annotated[str, msgspec.Meta(min_length=20, max_length=8192)]


class Certificate(msgspec.Struct, kw_only=True):
    """``certificate``: OpenSSH line for ``account`` until ``expires_at``. ``host_key``: pin it in known_hosts."""

    certificate: str
    account: str
    host_key: str
    expires_at: datetime


class Ticket(msgspec.Struct, kw_only=True):
    """One use, 30 seconds: for WebSockets of browsers, which cannot send headers."""

    ticket: str


class SessionView(msgspec.Struct, kw_only=True):
    """``bytes_in``: from the person to the machine; ``bytes_out``: back."""

    id: uuid.UUID
    protocol: SessionProtocol
    state: SessionState
    user_id: uuid.UUID
    user_name: str
    machine_id: uuid.UUID
    machine_name: str
    customer_id: uuid.UUID
    remote_address: str
    bytes_in: int
    bytes_out: int
    started_at: datetime
    ended_at: datetime | None
    end_reason: str
