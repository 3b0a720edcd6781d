"""Accounts in memory, for tests and for trying the reconciler without touching the host."""

from pathlib import Path

from remotegpu.agent.accounts import AccountIdentity
from remotegpu.agent.accounts.adapter import AccountError, WipeProof, validated_name
from remotegpu.protocol.sync import AccountSpec


class FakeAccounts:
    """Keeps names in a dict. ``refuse``: name → error of its creation; ``remains``: name → what a wipe finds."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._present: dict[str, AccountIdentity] = {}
        self.refuse: dict[str, str] = {}
        self.remains: dict[str, list[str]] = {}
        self.calls: list[str] = []

    def ensure(self, spec: AccountSpec) -> AccountIdentity:
        """Remember the account, or raise what ``refuse`` says."""
        self.calls.append(f"ensure {spec.name}")
        if spec.name in self.refuse:
            raise AccountError(self.refuse[spec.name])
        identity = AccountIdentity(validated_name(spec.name), None, None, self._root / spec.name)
        identity.home.mkdir(parents=True, exist_ok=True)
        return self._present.setdefault(spec.name, identity)

    def lookup(self, name: str) -> AccountIdentity | None:
        """The account, if it was ensured and not removed since."""
        return self._present.get(name)

    def names(self) -> list[str]:
        """Accounts ensured and not removed since."""
        return sorted(self._present)

    def remove(self, name: str) -> WipeProof:
        """Forget the account unless ``remains`` says that something of it stays."""
        self.calls.append(f"remove {name}")
        remains = self.remains.get(name, [])
        if not remains:
            self._present.pop(name, None)
        return WipeProof(name, list(remains))
