"""Host accounts: which Linux user (or directory) a customer's account is on this machine."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AccountIdentity:
    """Who an account is on the host. ``uid`` and ``gid`` are None in directory isolation: the agent's own user."""

    name: str
    uid: int | None
    gid: int | None
    home: Path
