"""One supervisor per data directory."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from remotegpu.kit import file_lock
from remotegpu.local.errors import AlreadyRunningError


@contextmanager
def held(path: Path, url: str) -> Generator[None]:
    """Hold the lock. Raises :class:`AlreadyRunningError` that says who holds it and where it serves."""
    try:
        with file_lock.held(path, {"pid": os.getpid(), "url": url}):
            yield
    except file_lock.LockedError as error:
        holder = error.holder
        raise AlreadyRunningError(
            f"The platform in {path.parent} runs already: pid {holder.get('pid', '?')}, "
            f"{holder.get('url', 'no URL')}.\n"
            "See it with 'remotegpu status', end it with 'remotegpu down', or choose another --data-dir."
        ) from None


def is_held(path: Path) -> bool:
    """Whether some process holds the lock now."""
    return file_lock.is_held(path)
