"""The node token across rotations.

The environment file holds the token of the enrolment. A rotated one is kept in the data directory, together with the
hash of the token it replaced there: a new enrolment changes the environment file, and the kept one counts no more.
"""

import hashlib
from pathlib import Path

import msgspec

from remotegpu.kit import files


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
        kept = _Kept(enrolled_sha256=_sha256(self._enrolled), token=token)
        files.write_private(self._path, msgspec.json.encode(kept))


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
