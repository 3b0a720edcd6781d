"""Keeping a long-running process small."""

import asyncio
import ctypes
import gc

_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
"""Parameters of glibc's ``mallopt``. Source: https://man7.org/linux/man-pages/man3/mallopt.3.html."""
_MMAP_THRESHOLD_BYTES = 128 * 1024


def keep_freed_memory_low() -> None:
    """Give large freed blocks back to the system at once, and share arenas between threads.

    glibc raises its threshold after the first large free: one password hash of 19 MiB would then stay for ever.
    Another C library has no ``mallopt``; there is nothing to do then.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)
    mallopt(_M_ARENA_MAX, 2)


FULL_COLLECTION_SECONDS = 600.0
_HARDLY_EVER = 100_000
"""Collections of the middle generation until the interpreter begins a full one of its own accord."""


async def collect_rarely() -> None:
    """Look through long-lived objects once in ten minutes instead of every few seconds. Run it as long as the process.

    A full collection visits each of the million objects that 10,000 held polls consist of, finds next to nothing to
    free, and stops everything else for a second.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _HARDLY_EVER)
    while True:
        await asyncio.sleep(FULL_COLLECTION_SECONDS)
        gc.collect()
