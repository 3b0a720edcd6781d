"""Who is signed in now, and what the desired state says about who may be."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from remotegpu.agent.access.credential import Credential
from remotegpu.protocol.sync import AccountSpec, DesiredState

_LOG = structlog.get_logger(__name__)


class Connection(Protocol):
    """The part of an SSH connection that ends it."""

    def cut(self, reason: str) -> None:
        """Kill what runs in it and close it, now."""
        ...


@dataclass(eq=False, slots=True)
class Guest:
    """One connection that names an account. ``credential`` is None until it has proven who it is."""

    connection: Connection
    account: str
    credential: Credential | None = None


@dataclass(slots=True)
class Guests:
    """Rules and guests together, so that a change of the rules reaches everybody inside."""

    accounts: dict[str, AccountSpec] = field(default_factory=dict[str, AccountSpec])
    ca_keys: Sequence[str] = ()
    present: set[Guest] = field(default_factory=set[Guest])

    def apply(self, desired: DesiredState) -> list[str]:
        """Take over new rules. Cuts whoever is no longer allowed; returns the accounts whose lease has ended.

        An account that is there again under another allocation has ended and begun: nobody stays from before.
        """
        before, self.accounts = self.accounts, {account.name: account for account in desired.accounts}
        self.ca_keys = list(desired.ssh_ca_keys)
        ended = [name for name, old in before.items() if self._allocation(name) != old.allocation_id]
        for name in ended:
            self.cut(name, "the lease has ended")
        for guest in list(self.present):
            if not self._may_stay(guest):
                self._cut(guest, "the key or certificate it was opened with is no longer accepted")
        return ended

    def cut(self, account: str, reason: str) -> None:
        """End every connection of ``account``, also those still signing in."""
        for guest in list(self.present):
            if guest.account == account:
                self._cut(guest, reason)

    def cut_all(self, reason: str) -> None:
        for guest in list(self.present):
            self._cut(guest, reason)

    def _cut(self, guest: Guest, reason: str) -> None:
        _LOG.info("connection_cut", account=guest.account, reason=reason)
        self.present.discard(guest)
        guest.connection.cut(reason)

    def _allocation(self, name: str) -> str | None:
        account = self.accounts.get(name)
        return account.allocation_id if account is not None else None

    def _may_stay(self, guest: Guest) -> bool:
        if guest.credential is None:
            return True  # it is judged by the new rules when it signs in
        # Whoever has signed in has loaded asyncssh already; an agent without guests need not.
        from remotegpu.agent.access.authorization import is_still_allowed  # noqa: PLC0415

        account = self.accounts.get(guest.account)
        return account is not None and is_still_allowed(guest.credential, account, self.ca_keys)
