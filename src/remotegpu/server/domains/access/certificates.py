"""Short-lived SSH user certificates, signed by the server's CA."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncssh

from remotegpu.server.domains.auth.ssh_keys import parse_public_key

LIFETIME = timedelta(minutes=5)
CLOCK_TOLERANCE = timedelta(minutes=15)
"""Certificates are valid from this much earlier and to this much later: hosts' clocks are off by minutes."""


@dataclass(frozen=True)
class Signed:
    certificate: str
    expires_at: datetime


def principal(allocation_id: uuid.UUID) -> str:
    """What a certificate is good for: one allocation, so that it dies with it."""
    return f"allocation:{allocation_id}"


def key_id(user_id: uuid.UUID) -> str:
    """The certificate's key id: tells users of one account apart."""
    return f"user:{user_id}"


def ca_public_key(ca_key: str) -> str:
    """OpenSSH line that agents trust."""
    return asyncssh.import_private_key(ca_key).export_public_key("openssh").decode().strip()


def sign(
    ca_key: str, public_key: str, *, user_id: uuid.UUID, allocation_id: uuid.UUID, now: datetime
) -> Signed:
    """A user certificate for one allocation. Raises :class:`InvalidError` for an unusable key."""
    line, _ = parse_public_key(public_key)
    expires_at = now + LIFETIME
    certificate = asyncssh.import_private_key(ca_key).generate_user_certificate(
        asyncssh.import_public_key(line),
        key_id(user_id),
        principals=[principal(allocation_id)],
        valid_after=(now - CLOCK_TOLERANCE).timestamp(),
        valid_before=(expires_at + CLOCK_TOLERANCE).timestamp(),
    )
    return Signed(certificate.export_certificate("openssh").decode().strip(), expires_at)


def ephemeral(
    ca_key: str, *, user_id: uuid.UUID, allocation_id: uuid.UUID, now: datetime
) -> tuple[asyncssh.SSHKey, asyncssh.SSHCertificate]:
    """A throw-away key with its certificate, for the console's terminal."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    signed = sign(
        ca_key,
        key.export_public_key("openssh").decode(),
        user_id=user_id,
        allocation_id=allocation_id,
        now=now,
    )
    return key, asyncssh.import_certificate(signed.certificate)
