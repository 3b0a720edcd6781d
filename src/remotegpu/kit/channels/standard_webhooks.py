"""Signatures as https://www.standardwebhooks.com describes them: libraries of many languages check them. Pure."""

import base64
import binascii
import hashlib
import hmac

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64
"""Bytes of a secret, by the specification."""


def key(secret: str) -> bytes | None:
    """What ``whsec_…`` stands for; None for what is none."""
    try:
        found = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if SHORTEST <= len(found) <= LONGEST else None


def signature(secret: str, message_id: str, timestamp_s: int, body: bytes) -> str:
    """The header ``webhook-signature``. Raises ``ValueError`` for what is no such secret."""
    found = key(secret)
    if found is None:
        raise ValueError("found a secret of another kind, expected whsec_ and 24 to 64 bytes in base64")
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(found, signed, hashlib.sha256)).decode()
