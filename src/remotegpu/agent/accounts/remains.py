"""What an account leaves outside its processes: home, temporary files, schedules, mail, shared memory."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

SHARED_DIRECTORIES = tuple(Path(path) for path in ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue"))  # noqa: S108
"""World-writable places where any account may leave files."""

SCHEDULES = tuple(
    Path(path)
    for path in (
        "/var/spool/cron/crontabs",
        "/var/spool/cron",
        "/var/spool/cron/atjobs",
        "/var/spool/at",
        "/var/mail",
        "/var/lib/systemd/linger",
    )
)
"""Directories with one file per account (crontab, mail, linger) or per job (at)."""

ENTERABLE = stat.S_IXGRP | stat.S_IXOTH
"""Directory modes that let others than the owner in. An access control list shows in the group's bits."""

_IPC_TABLES = {"shm": "-m", "msg": "-q", "sem": "-s"}


def delete_home(home: Path) -> list[str]:
    """Unmount what the account mounted below its home and delete it. Returns what would not go."""
    for mount in _mounts_below(home):
        subprocess.run(["umount", "--lazy", mount], capture_output=True, check=False)
    if home.is_symlink():
        return [f"{home} is a symbolic link, expected a directory; look where it leads before deleting it"]
    try:
        shutil.rmtree(home)
    except FileNotFoundError:
        return []
    except OSError as error:
        return [f"{error.filename}: {error.strerror}"]
    return []


def delete_files_of(uid: int, name: str) -> list[str]:
    """Delete what ``uid`` owns in shared places, its schedules and its System V IPC. Returns what would not go."""
    left: list[str] = []
    for path in [*_owned_files(uid), *_schedules(uid, name)]:
        try:
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        except OSError as error:
            left.append(f"{path}: {error.strerror}")
    for option, ident in _ipc_of(uid):
        subprocess.run(["ipcrm", option, ident], capture_output=True, check=False)
    return left


def files_of(uid: int) -> list[str]:
    """What ``uid`` still owns in shared places, as paths; IPC objects as ``ipc -m 7``."""
    return [str(path) for path in _owned_files(uid)] + [
        f"ipc {option} {ident}" for option, ident in _ipc_of(uid)
    ]


def _owned_files(uid: int) -> list[Path]:
    """What ``uid`` owns in shared places, deepest first, so that directories are empty when their turn comes."""
    found: list[Path] = []
    folders = [str(root) for root in SHARED_DIRECTORIES if root.is_dir()]
    while folders:
        folders += _look_into(folders.pop(), uid, found)
    return found[::-1]


def _look_into(folder: str, uid: int, found: list[Path]) -> list[str]:
    """Note what ``uid`` owns in ``folder``; returns the folders in it that it could have got into.

    Others' private folders are most of a busy ``/tmp``. Never follows a link.
    """
    inner: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                facts = _facts(entry)
                if facts is None:
                    continue
                if facts.st_uid == uid:
                    found.append(Path(entry.path))
                if stat.S_ISDIR(facts.st_mode) and (facts.st_uid == uid or facts.st_mode & ENTERABLE):
                    inner.append(entry.path)
    except OSError:
        return []  # gone since it was listed
    return inner


def _facts(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError:
        return None


def _schedules(uid: int, name: str) -> list[Path]:
    found: list[Path] = []
    for folder in SCHEDULES:
        if folder.is_dir():
            found += [
                path
                for path in folder.iterdir()
                if not path.is_dir() and (path.name == name or _owner(path) == uid)
            ]
    return found


def _owner(path: Path) -> int | None:
    try:
        return path.lstat().st_uid
    except OSError:
        return None


def _ipc_of(uid: int) -> list[tuple[str, str]]:
    """``(ipcrm option, id)`` of each System V object owned by ``uid``."""
    found: list[tuple[str, str]] = []
    for table, option in _IPC_TABLES.items():
        source = Path("/proc/sysvipc") / table
        if not source.exists():
            continue
        header, *rows = source.read_text().splitlines()
        columns = header.split()
        owner, ident = columns.index("uid"), 1
        found += [(option, row.split()[ident]) for row in rows if row.split()[owner] == str(uid)]
    return found


def _mounts_below(home: Path) -> list[str]:
    """Mount points in or below ``home``, deepest first (``/proc/self/mounts`` writes a space as ``\\040``)."""
    lines = Path("/proc/self/mounts").read_text(errors="replace").splitlines()
    points = [line.split()[1].replace("\\040", " ") for line in lines]
    return sorted((point for point in points if Path(point).is_relative_to(home)), key=len, reverse=True)
