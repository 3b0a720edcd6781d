"""One change of a site at a time: whoever comes second is told who is at work, since when, and on what."""

import getpass
import os
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from remotegpu.kit import file_lock

FILE_NAME = ".lock"


class SiteBusyError(Exception):
    """Somebody changes the site already."""


@contextmanager
def held(directory: Path, why: str, now: datetime, *, with_children: bool = False) -> Generator[None]:
    """Hold the site in ``directory``. ``why``: what is done, such as ``deploy v1.2.0``.

    ``with_children``: a holder that is killed still holds it while what it started works on. Raises
    :class:`SiteBusyError`.
    """
    holder = {
        "who": getpass.getuser(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": now.isoformat(timespec="seconds"),
        "why": why,
    }
    try:
        with file_lock.held(directory / FILE_NAME, holder, with_children=with_children):
            yield
    except file_lock.LockedError as error:
        at_work = error.holder
        raise SiteBusyError(
            f"{directory} is being changed: {at_work.get('why', 'something')} by {at_work.get('who', 'somebody')} "
            f"on {at_work.get('host', 'this host')}, pid {at_work.get('pid', '?')}, since {at_work.get('since', '?')}. "
            f"{_advice(at_work)}"
        ) from None


def _advice(at_work: Mapping[str, Any]) -> str:  # Any: JSON
    if at_work.get("host") == socket.gethostname() and not is_alive(at_work.get("pid")):
        return "That process died, but something that it started still works: wait until that has ended."
    return "Wait until that has ended; a process that died holds nothing once what it started has ended too."


def is_alive(pid: object) -> bool:
    """Whether there is such a process on this host."""
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
