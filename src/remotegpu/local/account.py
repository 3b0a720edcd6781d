"""The account that PostgreSQL runs as. PostgreSQL refuses root, so root hands it to an unprivileged account."""

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from remotegpu.kit import files
from remotegpu.local.binaries import POSTGRES_MAJOR, Binaries
from remotegpu.local.errors import UnwritableDataDirError
from remotegpu.local.layout import SYSTEM_DATA_DIR, Layout

CANDIDATES = ("remotegpu", "nobody")


@dataclass(frozen=True)
class Account:
    """A Linux account by number. ``name`` is for messages."""

    name: str
    uid: int
    gid: int


def service_account() -> Account | None:
    """None for an ordinary user (run as oneself); for root the first of :data:`CANDIDATES` that exists."""
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise UnwritableDataDirError(
        f"PostgreSQL refuses to run as root, and none of the accounts {', '.join(CANDIDATES)} exists.\n"
        "Create one (useradd --system remotegpu) or run as an ordinary user."
    )


def blocking_ancestor(path: Path, account: Account) -> Path | None:
    """The first directory from / down to ``path`` that ``account`` may not enter, or None."""
    for directory in [*reversed(path.parents), path]:
        found = directory.stat()
        if found.st_uid == account.uid:
            allowed = found.st_mode & 0o100
        elif found.st_gid == account.gid:
            allowed = found.st_mode & 0o010
        else:
            allowed = found.st_mode & 0o001
        if not allowed:
            return directory
    return None


def require_reachable(root: Path, account: Account | None) -> None:
    """Refuse a data directory under a folder closed to the account, before anything is made there."""
    if account is None:
        return
    existing = next(parent for parent in root.parents if parent.exists())
    blocked = blocking_ancestor(existing.resolve(), account)
    if blocked is None:
        return
    mode = blocked.stat().st_mode & 0o777
    raise UnwritableDataDirError(
        f"{root} lies under {blocked} (mode {mode:04o}), which the account {account.name!r} cannot enter. "
        "As root, PostgreSQL runs as that account.\n"
        f"Choose --data-dir outside of it (for example {SYSTEM_DATA_DIR}), or run as an ordinary user."
    )


def reachable_postgres(layout: Layout, binaries: Binaries, account: Account | None) -> Path:
    """A ``bin`` folder of PostgreSQL that the account can execute: the installed one, else a copy in the data dir.

    The copy keeps the wheel's relative places, because the programs find their libraries by ``$ORIGIN``.
    """
    installed = binaries.postgres_bin
    if account is None or blocking_ancestor(installed.resolve(), account) is None:
        return installed
    files.make_directory(layout.runtime, files.TRAVERSABLE_DIR)
    target = layout.runtime / _copy_name(installed)
    copied_bin = target / binaries.postgres_package.name / installed.parent.name / "bin"
    if not target.exists():
        _copy_installation(binaries, target)
    return copied_bin


def _copy_name(installed: Path) -> str:
    """Changes with the installed binary, so that an upgraded wheel is copied anew."""
    found = (installed / "postgres").stat()
    return f"postgres-{POSTGRES_MAJOR}-{found.st_size}-{found.st_mtime_ns}"


def _copy_installation(binaries: Binaries, target: Path) -> None:
    """Copy programs, libraries and shared files (not headers, not other majors), then move into place at once."""
    package = binaries.postgres_package
    staging = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    install = binaries.postgres_bin.parent
    for part in ("bin", "lib", "share"):
        shutil.copytree(install / part, staging / package.name / install.name / part, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, staging / libraries.name, symlinks=True)
    open_to_all(staging)
    staging.replace(target)
    for stale in target.parent.glob(f"postgres-{POSTGRES_MAJOR}-*"):
        if stale != target:
            shutil.rmtree(stale, ignore_errors=True)


def open_to_all(tree: Path) -> None:
    """Readable and enterable by everyone (published binaries hold no secret), whatever the umask was."""
    tree.chmod(0o755)
    for path in tree.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
