"""One change of a site at a time: whoever comes second is told who is at work, since when, and on what."""

import getpass
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from remotegpu.kit import file_lock

FILE_NAME = ".lock"


class SiteBusyError(Exception):
    """Somebody changes the site already."""


@contextmanager
def held(directory: Path, why: str, now: datetime) -> Generator[None]:
    """Hold the site in ``directory``. ``why``: what is done, such as ``deploy v1.2.0``.

    Raises :class:`SiteBusyError`.
    """
    holder = {
        "who": getpass.getuser(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": now.isoformat(timespec="seconds"),
        "why": why,
    }
    try:
        with file_lock.held(directory / FILE_NAME, holder):
            yield
    except file_lock.LockedError as error:
        at_work = error.holder
        raise SiteBusyError(
            f"{directory} is being changed: {at_work.get('why', 'something')} by {at_work.get('who', 'somebody')} "
            f"on {at_work.get('host', 'this host')}, pid {at_work.get('pid', '?')}, since {at_work.get('since', '?')}. "
            "Wait until that has ended; a process that died holds nothing."
        ) from None
