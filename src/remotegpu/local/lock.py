"""One supervisor per data directory: a file lock, which the kernel releases however its holder dies."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from remotegpu.local import files
from remotegpu.local.errors import AlreadyRunningError


@contextmanager
def held(path: Path, url: str) -> Generator[None]:
    """Hold the lock. Raises :class:`AlreadyRunningError` that says who holds it and where it serves."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(_held_by(path)) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, files.to_json({"pid": os.getpid(), "url": url}).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether some process holds the lock now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _held_by(path: Path) -> str:
    holder = files.read_json(path) or {}
    return (
        f"The platform in {path.parent} runs already: pid {holder.get('pid', '?')}, {holder.get('url', 'no URL')}.\n"
        "See it with 'remotegpu status', end it with 'remotegpu down', or choose another --data-dir."
    )
