"""Identifiers: time-ordered UUIDs, and random secrets with a recognisable prefix."""

import hashlib
import secrets
import time
import uuid


def uuid7() -> uuid.UUID:
    """A version 7 UUID (RFC 9562 §5.7): 48 bits of milliseconds, then random; sorts by creation."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)


def new_secret(prefix: str) -> str:
    """``prefix`` plus 256 random bits. The prefix lets secret scanners and people see what leaked."""
    return f"{prefix}{secrets.token_urlsafe(32)}"


def secret_hash(secret: str) -> str:
    """SHA-256 in hex: enough for 256-bit random secrets, which cannot be guessed the way passwords can."""
    return hashlib.sha256(secret.encode()).hexdigest()
