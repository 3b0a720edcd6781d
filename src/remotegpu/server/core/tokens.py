"""Access tokens: short-lived JWTs signed with the first key of a ring, verified with any of them."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey

from remotegpu.kit.clock import utc_now
from remotegpu.server.core.errors import NotAuthenticatedError

ALGORITHM = "HS256"
ISSUER = "remotegpu"


@dataclass(frozen=True)
class Verified:
    """``family`` ties the token to its sign-in. ``ends_at``: epoch seconds."""

    user_id: uuid.UUID
    family: str
    ends_at: float


class AccessTokens:
    """Issue and verify. Rotation: put a new key first, and `` until=TIME`` behind the old one."""

    def __init__(self, lines: tuple[str, ...], lifetime: int) -> None:
        self.lifetime = lifetime
        split = [line.partition(" until=") for line in lines]
        keys = [key for key, _, _ in split]
        self._ring = KeySet([OctKey.import_key(key, {"kid": key_id(key)}) for key in keys])
        self._signing = key_id(keys[0])
        self._ends = {
            key_id(key): datetime.fromisoformat(until) if until else None for key, _, until in split
        }
        self._claims = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": ISSUER}, sub={"essential": True}, exp={"essential": True}
        )

    def issue(self, user_id: uuid.UUID, *, family: str, now: datetime) -> str:
        """A token for ``user_id``; ``family`` ties it to its sign-in."""
        issued = int(now.timestamp())
        claims = {
            "iss": ISSUER,
            "sub": str(user_id),
            "fam": family,
            "iat": issued,
            "exp": issued + self.lifetime,
        }
        return jwt.encode({"alg": ALGORITHM, "kid": self._signing}, claims, self._ring)

    def verify(self, token: str) -> Verified:
        """Whose it is. Raises :class:`NotAuthenticatedError` for anything not signed by the ring or expired."""
        try:
            decoded = jwt.decode(token, self._ring, algorithms=[ALGORITHM])
            claims = decoded.claims
            self._claims.validate(claims)
            self._require_valid_key(str(decoded.header.get("kid")))
            return Verified(uuid.UUID(claims["sub"]), str(claims["fam"]), float(claims["exp"]))
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise NotAuthenticatedError(
                "the access token is not valid or has expired; refresh it or sign in again",
                code="token_invalid",
            ) from error

    def _require_valid_key(self, kid: str) -> None:
        """Raises :class:`KeyError` for a token that names none of ours, :class:`ValueError` for a key that is over."""
        end = self._ends[kid]
        if end is not None and utc_now() >= end:
            raise ValueError(f"key {kid} ended at {end}")


def key_id(key: str) -> str:
    """A public name for a secret key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]
