"""The node token across rotations.

The environment file holds the token of the enrolment. A rotated one is kept in the data directory, together with the
hash of the token it replaced there: a new enrolment changes the environment file, and the kept one counts no more.
"""

import hashlib
import os
from pathlib import Path

import msgspec


class _Kept(msgspec.Struct):
    enrolled_sha256: str
    token: str


class TokenStore:
    """Reads and replaces ``token.json`` (mode 0600)."""

    def __init__(self, path: Path, enrolled: str) -> None:
        self._path = path
        self._enrolled = enrolled

    def current(self) -> str:
        """The token to use: the rotated one where there is one for this enrolment."""
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except (FileNotFoundError, msgspec.MsgspecError):
            return self._enrolled
        return kept.token if kept.enrolled_sha256 == _sha256(self._enrolled) else self._enrolled

    def replace(self, token: str) -> None:
        """Keep ``token`` durably: the server will refuse the old one soon."""
        write_private(
            self._path, msgspec.json.encode(_Kept(enrolled_sha256=_sha256(self._enrolled), token=token))
        )


def write_private(path: Path, content: bytes) -> None:
    """Replace ``path`` at once and durably, readable by its owner only. Raises ``OSError``."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as target:
            target.write(content)
            target.flush()
            os.fsync(target.fileno())
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
