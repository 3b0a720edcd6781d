"""How a shell host starts: what to do as JSON on standard input, ``ok`` or the reason on standard output.

The starting process returns as soon as it has left its child behind; the child is in its own session and no longer
the agent's. It listens on a unix socket in a directory that only the agent's user can enter. The socket is created
by the child, so that ``SO_PEERCRED`` on a connection names the process that really serves it.
"""

import json
import os
import socket
import sys
from collections.abc import Callable
from typing import TypedDict, cast

from remotegpu.agent.access.hosts.descendants import adopt_orphans
from remotegpu.agent.access.hosts.identity import Identity
from remotegpu.agent.access.hosts.terminal import Command, Size


class Spec(TypedDict):
    """``persistent``: outlive the connection, for ``idle_s`` without any. Otherwise end with the connection.

    ``lost_check_s``: how often a host nobody is attached to looks whether its socket can still be found.
    """

    directory: str
    name: str
    command: Command
    identity: Identity
    size: Size
    persistent: bool
    idle_s: float
    lost_check_s: float


def serve_detached(serve: Callable[[Spec, socket.socket], None]) -> int:
    """Read the spec, leave a child behind that serves it, and return."""
    spec = cast("Spec", json.load(sys.stdin))
    if os.fork() > 0:
        return 0
    os.setsid()
    adopt_orphans()
    try:
        listener = _listen(spec)
    except OSError as error:
        _answer(f"cannot listen in {spec['directory']}: {error}")
        return 1
    _answer("ok")
    _leave_streams()
    try:
        serve(spec, listener)
    finally:
        # First the name, then the socket: whoever no longer finds the name starts anew, and is not unlinked by us.
        _unlink(spec)
        listener.close()
    return 0


def can_be_found(spec: Spec) -> bool:
    """Whether an agent could still attach: false once the agent's data directory was removed."""
    return os.path.exists(os.path.join(spec["directory"], spec["name"]))  # noqa: PTH110, PTH118 — see _unlink


def _listen(spec: Spec) -> socket.socket:
    """Bind by a relative name: the full path may be longer than the 108 bytes a socket address holds."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    os.chdir(spec["directory"])
    os.umask(0o177)
    listener.bind(spec["name"])
    listener.listen(16)
    os.chdir("/")
    return listener


def _answer(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _leave_streams() -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def _unlink(spec: Spec) -> None:
    try:
        os.unlink(os.path.join(spec["directory"], spec["name"]))  # noqa: PTH108, PTH118 — pathlib costs 10 ms to import
    except FileNotFoundError:
        return
