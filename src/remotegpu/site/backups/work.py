"""One writer of backups at a time, one user of the scratch space at a time, and room for what is to be done.

Two locks, so that a deployment can make its backup while a drill is on.
"""

import shutil
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from remotegpu.kit import files
from remotegpu.site import lock
from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.settings import Settings
from remotegpu.site.backups.store import Store

Say = Callable[[str], None]
"""Takes one line of progress."""
PAUSE_S = 0.2
SPARE = 64 << 20
"""Bytes that stay free beside what is known to be needed."""


@contextmanager
def writing(settings: Settings, why: str, now: datetime, wait_s: float = 0) -> Generator[Store]:
    """Hold the folder of backups, and take away what a crash left. ``wait_s``: for whoever else is at work.

    Raises :class:`~remotegpu.site.lock.SiteBusyError`.
    """
    _usable(settings.backup_dir, "BACKUP_DIR")
    with _held(settings.backup_dir, why, now, wait_s):
        store = Store(settings.backup_dir)
        for left in store.unfinished():
            shutil.rmtree(left)
        yield store


@contextmanager
def _held(folder: Path, why: str, now: datetime, wait_s: float) -> Generator[None]:
    until = time.monotonic() + wait_s
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(lock.held(folder, why, now))
                break
            except lock.SiteBusyError:
                if time.monotonic() >= until:
                    raise
                time.sleep(PAUSE_S)
        yield


@contextmanager
def restoring(settings: Settings, why: str, now: datetime) -> Generator[Store]:
    """Hold the scratch space. Raises :class:`~remotegpu.site.lock.SiteBusyError`."""
    _usable(settings.scratch_dir, "SCRATCH_DIR")
    with lock.held(settings.scratch_dir, why, now):
        yield Store(settings.backup_dir)


def _usable(folder: Path, setting: str) -> None:
    try:
        files.make_directory(folder)
    except PermissionError:
        pass  # a mounted volume belongs to somebody else; what counts is the next line
    except OSError as error:
        raise BackupError(f"{setting}: cannot use {folder}: {error.strerror}") from error
    try:
        (folder / lock.FILE_NAME).touch(mode=0o600)
    except OSError as error:
        raise BackupError(
            f"{setting}: cannot write into {folder}: {error.strerror}. Expected a volume of this account's."
        ) from error


def need_room(folder: Path, wanted: int, what: str) -> None:
    """Raises :class:`BackupError` unless ``wanted`` bytes and a little more are free in ``folder``."""
    free = shutil.disk_usage(folder).free
    if free < wanted + SPARE:
        raise BackupError(
            f"{what} needs {_mib(wanted + SPARE)} in {folder}, found {_mib(free)} free. "
            "Nothing was changed; make room there and try again."
        )


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.0f} MiB"
