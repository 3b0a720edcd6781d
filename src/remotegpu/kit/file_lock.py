"""One holder per file: a lock that the kernel releases however its holder dies. The file says who holds it."""

import fcntl
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from remotegpu.kit import files


class LockedError(Exception):
    """Somebody holds it. ``holder``: what they wrote, empty when it cannot be read."""

    def __init__(self, path: Path, holder: dict[str, Any]) -> None:  # Any: JSON
        self.path = path
        self.holder = holder
        super().__init__(f"{path} is locked: {holder}")


@contextmanager
def held(
    path: Path, holder: Mapping[str, Any], *, with_children: bool = False
) -> Generator[None]:  # Any: JSON
    """Hold the lock, with ``holder`` written into it. Raises :class:`LockedError`.

    ``with_children``: when the holder is killed, processes that it started with ``close_fds=False`` hold it until the
    last of them has ended.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(path, files.read_json(path) or {}) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, files.to_json(dict(holder)).encode(), 0)
        os.set_inheritable(descriptor, with_children)
        try:
            yield
        finally:
            fcntl.flock(
                descriptor, fcntl.LOCK_UN
            )  # for children too: whoever is not killed has seen them end
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
