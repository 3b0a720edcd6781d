"""What the agent needs from the host for a customer's account, whatever the isolation.

Every call blocks (it starts programs and walks directories): callers run it in a thread.
"""

import re
from dataclasses import dataclass, field
from typing import Protocol

from remotegpu.agent.accounts import AccountIdentity
from remotegpu.protocol.sync import AccountSpec

ACCOUNT_ENV = "REMOTEGPU_ACCOUNT"
"""Environment variable naming the account in every process started for it."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


class AccountError(Exception):
    """The host refused something an account needs; the message says what was found and what to do."""


@dataclass(frozen=True, slots=True)
class WipeProof:
    """What was looked for after a wipe and still found. Nothing found is the proof that nothing remains."""

    name: str
    remains: list[str] = field(default_factory=list[str])

    @property
    def absent(self) -> bool:
        return not self.remains

    def detail(self) -> str:
        """One line for the operator: empty when nothing remains."""
        shown = "; ".join(self.remains[:8])
        more = len(self.remains) - 8
        return f"{shown}; and {more} more" if more > 0 else shown


class Accounts(Protocol):
    """Host accounts of customers. All methods may be repeated: after a crash the agent simply calls them again."""

    def ensure(self, spec: AccountSpec) -> AccountIdentity:
        """Create the account unless it exists. Raises :class:`AccountError`."""
        ...

    def lookup(self, name: str) -> AccountIdentity | None:
        """Who ``name`` is on this host, None when it is not an account of ours. Cheap: no program is started."""
        ...

    def names(self) -> list[str]:
        """Every account of ours on this host, also those an earlier installation of the agent left."""
        ...

    def remove(self, name: str) -> WipeProof:
        """Kill everything that runs as the account, delete what it owns, and look again. Raises nothing expected."""
        ...


def validated_name(name: str) -> str:
    """``name`` if it may become an account. Raises :class:`AccountError` otherwise.

    The name ends up in argument lists and paths, so the server's word alone is not enough.
    """
    if _NAME.fullmatch(name) is None:
        raise AccountError(
            f"account name is {name!r}, expected a lower-case letter followed by at most 30 of a-z, 0-9 and -"
        )
    return name
