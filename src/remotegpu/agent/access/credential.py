"""With what somebody signed in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Credential:
    """``identity`` tells people apart within one account.

    It is the certificate's key id (one person has many short-lived certificates), else the key's fingerprint.
    ``authority`` is the fingerprint of the CA, None for a plain key.
    """

    identity: str
    fingerprint: str
    authority: str | None = None
    principals: tuple[str, ...] = ()
