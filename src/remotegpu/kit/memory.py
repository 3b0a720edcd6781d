"""Keeping a long-running process small."""

import ctypes

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
