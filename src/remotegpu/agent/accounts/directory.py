"""Accounts for evaluation: a directory as HOME, every process under the agent's own user.

Nothing separates such accounts from each other or from the agent. The inventory says ``directory`` so that the
platform can show it wherever the machine is shown.
"""

import os
import shutil
from pathlib import Path

from remotegpu.agent.accounts import AccountIdentity, processes
from remotegpu.agent.accounts.adapter import ACCOUNT_ENV, AccountError, WipeProof, validated_name
from remotegpu.protocol.sync import AccountSpec


class DirectoryAccounts:
    """One directory per account below ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def ensure(self, spec: AccountSpec) -> AccountIdentity:
        """Create the account's directory, mode 0700."""
        home = self._root / validated_name(spec.name)
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise AccountError(f"cannot create {home}: {error.strerror}; make its parent writable") from error
        return AccountIdentity(name=spec.name, uid=None, gid=None, home=home)

    def lookup(self, name: str) -> AccountIdentity | None:
        """The account if its directory exists."""
        home = self._root / validated_name(name)
        return AccountIdentity(name=name, uid=None, gid=None, home=home) if home.is_dir() else None

    def names(self) -> list[str]:
        """Every directory below the root."""
        if not self._root.is_dir():
            return []
        return sorted(entry.name for entry in self._root.iterdir() if entry.is_dir())

    def remove(self, name: str) -> WipeProof:
        """Kill what carries the account's marks and delete its directory."""
        home = self._root / validated_name(name)
        survivors = processes.kill_all(lambda pid: _belongs(pid, name, home))
        remains = [processes.describe(pid) for pid in survivors]
        try:
            shutil.rmtree(home)
        except FileNotFoundError:
            pass
        except OSError as error:
            remains.append(f"{error.filename}: {error.strerror}")
        if home.exists() and not remains:
            remains.append(f"{home} exists")
        return WipeProof(name, remains)


def _belongs(pid: int, name: str, home: Path) -> bool:
    """Processes of all accounts share one uid here, so environment and working directory tell them apart."""
    marks = {f"{ACCOUNT_ENV}={name}".encode(), b"HOME=" + os.fsencode(home)}
    if not marks.isdisjoint(processes.environment_of(pid)):
        return True
    where = processes.working_directory_of(pid)
    return where == str(home) or where.startswith(f"{home}/")
