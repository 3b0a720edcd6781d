"""Access tokens: short-lived JWTs signed with the first key of a ring, verified with any of them."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey

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
    """Issue and verify. Rotation: put a new key first, drop the old one after ``lifetime`` seconds."""

    def __init__(self, keys: tuple[str, ...], lifetime: int) -> None:
        self.lifetime = lifetime
        self._ring = KeySet([OctKey.import_key(key, {"kid": key_id(key)}) for key in keys])
        self._signing = key_id(keys[0])
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
            claims = jwt.decode(token, self._ring, algorithms=[ALGORITHM]).claims
            self._claims.validate(claims)
            return Verified(uuid.UUID(claims["sub"]), str(claims["fam"]), float(claims["exp"]))
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise NotAuthenticatedError(
                "the access token is not valid or has expired; refresh it or sign in again",
                code="token_invalid",
            ) from error


def key_id(key: str) -> str:
    """A public name for a secret key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]
