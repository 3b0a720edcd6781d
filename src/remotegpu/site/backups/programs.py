"""Where PostgreSQL's programs are: on PATH in its official image, in a folder per version on Debian."""

import os
import re
import shutil
from pathlib import Path

from remotegpu.site.backups.errors import BackupError
from remotegpu.site.runner import Command, attempt

DEBIAN = Path("/usr/lib/postgresql")
DAY_S = 86_400.0
GENTLY = ("chrt", "--idle", "0")
"""Before what competes with what people wait for: it runs when nobody else wants to (SCHED_IDLE, sched(7))."""


def give_way() -> None:
    """The same for the thread that calls it, for good."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def postgresql(name: str, version: str) -> str:
    """The path of ``pg_dump``, ``initdb``, … of the server's major version, such as ``17.12``.

    Raises :class:`BackupError`: an older pg_dump refuses the server, a newer one writes what it may not read.
    """
    major = version.split(".", maxsplit=1)[0]
    own = DEBIAN / major / "bin" / name
    found = str(own) if own.exists() else shutil.which(name)
    if found is None:
        raise BackupError(
            f"found no {name} on PATH nor in {own.parent}, expected the one of PostgreSQL {major}"
        )
    said = attempt(Command(argv=(found, "--version"))).output.strip()
    if not re.search(rf"\b{major}\.\d+", said):
        raise BackupError(
            f"found {said!r} at {found}, expected the one of PostgreSQL {major}, as the server is"
        )
    return found
