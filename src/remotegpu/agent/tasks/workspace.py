"""The directory of one attempt: what the agent puts in, what it reads back.

The directory itself belongs to the agent (mode 0711: its name must be known to pass through); ``files`` and
``output`` in it belong to the account. It appears complete, by one rename, or not at all.
"""

import os
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from remotegpu.agent.accounts import AccountIdentity
from remotegpu.agent.tasks.adapter import AttemptExit
from remotegpu.agent.tasks.command import HostSpec
from remotegpu.agent.tasks.process_identity import ProcessIdentity

T = TypeVar("T")

DRAFT_SUFFIX = ".new"


class StartRecord(msgspec.Struct, frozen=True):
    """``started.json``: the command's own pid, and when it began (epoch seconds)."""

    pid: int
    started_at: float


class Workspace:
    """Paths of one attempt and the small files through which its host process speaks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = path / "files"
        self.output = path / "output"
        self.log = path / "log"

    def prepare(self, spec: HostSpec, account: AccountIdentity, program: Mapping[str, str]) -> None:
        """Create the directory with everything the host process reads; nothing when it is there already."""
        if self.path.exists():
            return
        draft = self.path.with_name(self.path.name + DRAFT_SUFFIX)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o711, parents=True)
        draft.chmod(0o711)
        (draft / "spec.json").write_bytes(msgspec.json.encode(spec))
        (draft / "spec.json").chmod(0o600)  # env may hold the customer's secrets
        _hand_over(draft / "files", account, program)
        _hand_over(draft / "output", account, {})
        draft.rename(self.path)

    def host(self) -> ProcessIdentity | None:
        """The process that owns the attempt, None before it took it."""
        return self._read("host.json", ProcessIdentity)

    def started(self) -> StartRecord | None:
        """Set as soon as the command runs."""
        return self._read("started.json", StartRecord)

    def exit(self) -> AttemptExit | None:
        """Set when nothing of the attempt runs any more."""
        return self._read("exit.json", AttemptExit)

    def request_stop(self, grace_s: float) -> None:
        """Leave word for the host process."""
        temporary = self.path / "stop.tmp"
        temporary.write_text(f"{grace_s}\n", encoding="ascii")
        temporary.rename(self.path / "stop")

    def close_to_account(self) -> None:
        """Let the account in no more: what it produced is about to be read and described."""
        if self.path.exists():
            self.path.chmod(0o700)

    def delete(self) -> None:
        """Remove everything, also directories the command made unreadable."""
        shutil.rmtree(self.path, onerror=_open_and_retry)

    def _read(self, name: str, kind: type[T]) -> T | None:
        try:
            return msgspec.json.decode((self.path / name).read_bytes(), type=kind)
        except (FileNotFoundError, NotADirectoryError):
            return None


def _hand_over(folder: Path, account: AccountIdentity, content: Mapping[str, str]) -> None:
    folder.mkdir(mode=0o700)
    for name, text in content.items():
        path = folder / name
        path.write_text(text, encoding="utf-8", newline="")
        path.chmod(0o700)
        _give(path, account)
    _give(folder, account)


def _give(path: Path, account: AccountIdentity) -> None:
    if account.uid is not None and account.gid is not None:
        os.chown(path, account.uid, account.gid)


def _open_and_retry(remove: Callable[[str], object], path: str, _error: object) -> None:
    """``shutil.rmtree`` met something: a directory without write permission is opened, the rest is an error."""
    if not os.path.lexists(path):
        return
    parent = Path(path).parent
    parent.chmod(stat.S_IRWXU)
    if Path(path).is_dir() and not Path(path).is_symlink():
        Path(path).chmod(stat.S_IRWXU)
        shutil.rmtree(path)
        return
    remove(path)
