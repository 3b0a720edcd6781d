"""Starting, finding and ending shell hosts.

Their sockets lie in one directory that only the agent's user may enter. A name is made of a hash of the account and a
hash of who signed in and which shell they asked for: members of one account cannot name each other's shells, and all
shells of an account are found by the first part, also by an agent that has just been restarted.
"""

import asyncio
import hashlib
import json
import os
import secrets
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

import structlog

from remotegpu.agent.access.hosts import frames
from remotegpu.agent.access.hosts.frames import frame
from remotegpu.agent.access.hosts.identity import Identity
from remotegpu.agent.access.hosts.startup import Spec
from remotegpu.agent.access.hosts.terminal import Command, Size
from remotegpu.agent.access.program import Listener, ProgramError
from remotegpu.agent.access.shell_link import HostGoneError, ShellLink, server_pid

_LOG = structlog.get_logger(__name__)
HOST_PROCESS = Path(__file__).with_name("host_process.py")
IDLE_S = 8 * 3600.0
"""How long a web shell without any attached window is kept."""
LOST_CHECK_S = 60.0
_ATTACH_ATTEMPTS = 4
_START_PATIENCE_S = 10.0
_KILL_PATIENCE_S = 5.0


def helper_argv(name: str, *arguments: str) -> list[str]:
    """Command line of a helper process: this interpreter, isolated, without site-packages."""
    return [sys.executable, "-I", "-S", str(HOST_PROCESS), name, *arguments]


def persistent_name(account: str, identity: str, shell_id: str) -> str:
    """Name of the socket of ``shell_id`` as asked for by ``identity``."""
    return f"{_prefix(account)}-{_digest(identity, shell_id)[:24]}"


def single_use_name(account: str) -> str:
    """Name for a terminal that ends with its connection."""
    return f"{_prefix(account)}-once-{secrets.token_hex(8)}"


class ShellHosts:
    """All shell hosts of this agent, below ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor: int | None = None
        self._locks: dict[str, asyncio.Lock] = {}

    def start(self) -> None:
        """Make the directory private. Raises ``OSError``."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory.chmod(0o700)
        self._descriptor = os.open(self._directory, os.O_PATH | os.O_DIRECTORY)

    def stop(self) -> None:
        """Leave the hosts alone; the next agent finds them."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    async def attach(
        self,
        name: str,
        *,
        command: Command,
        identity: Identity,
        size: Size,
        persistent: bool,
        listener: Listener,
    ) -> ShellLink:
        """Connect to the host ``name``, starting it unless it runs. Raises :class:`ProgramError`.

        Account-wide lock: ending an account waits for a start in progress and then finds its socket; a start that
        waited for the end finds its listener closed.
        """
        spec = Spec(
            directory=str(self._directory.absolute()),
            name=name,
            command=command,
            identity=identity,
            size=size,
            persistent=persistent,
            idle_s=IDLE_S,
            lost_check_s=LOST_CHECK_S,
        )
        async with self._lock(name):
            for _ in range(_ATTACH_ATTEMPTS):
                if not listener.is_open():
                    raise ProgramError("access has ended")
                sock = self._connect(name)
                if sock is None:
                    await _start(spec)
                    continue
                try:
                    return await _link(sock, listener, size)
                except HostGoneError:
                    continue  # it was just ending: a shell's exit and a new attach crossed
        raise ProgramError("the terminal ended before it could be used; try again")

    async def close_account(self, account: str) -> None:
        """End every shell of ``account``, whatever runs in it, and wait until it is gone."""
        prefix = _prefix(account)
        async with self._lock(prefix):
            await asyncio.gather(
                *(self._end(name) for name in self._names() if name.startswith(f"{prefix}-"))
            )

    async def close_all_but(self, accounts: Iterable[str]) -> None:
        """End the shells of every other account: leases may have ended while no agent ran."""
        kept = {_prefix(account) for account in accounts}
        strangers = [name for name in self._names() if name.partition("-")[0] not in kept]
        await asyncio.gather(*(self._end(name) for name in strangers))

    def _lock(self, name: str) -> asyncio.Lock:
        """One per account, from a socket's name or its first part."""
        return self._locks.setdefault(name.partition("-")[0], asyncio.Lock())

    def _names(self) -> list[str]:
        return [entry.name for entry in self._directory.iterdir()] if self._directory.is_dir() else []

    def _connect(self, name: str) -> socket.socket | None:
        """A connected socket, or None when no host serves ``name``; what a killed host left is removed."""
        assert self._descriptor is not None, "start() comes first"
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Through the directory's descriptor: a full path may exceed the 108 bytes of a socket address.
            sock.connect(f"/proc/self/fd/{self._descriptor}/{name}")
        except (ConnectionRefusedError, FileNotFoundError) as error:
            sock.close()
            if isinstance(error, ConnectionRefusedError):
                (self._directory / name).unlink(missing_ok=True)
            return None
        sock.setblocking(False)
        return sock

    async def _end(self, name: str) -> None:
        sock = self._connect(name)
        if sock is None:
            return
        pid = server_pid(sock)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_KILL_PATIENCE_S):
                await loop.sock_sendall(sock, frame(frames.KILL))
                while await loop.sock_recv(sock, 65536):
                    pass  # the host closes the connection when everything below it is gone
        except TimeoutError:
            _LOG.warning("shell_host_stuck", pid=pid, action="killed")
            _kill(pid)
            (self._directory / name).unlink(missing_ok=True)
        except ConnectionError:
            return  # it ended by itself meanwhile
        finally:
            sock.close()


async def _link(sock: socket.socket, listener: Listener, size: Size) -> ShellLink:
    """Raises :class:`HostGoneError`."""
    _, link = await asyncio.get_running_loop().create_unix_connection(
        lambda: ShellLink(listener, size), sock=sock
    )
    await link.answered()
    return link


async def _start(spec: Spec) -> None:
    """Run the starting process to its end; the host it leaves behind listens by then."""
    process = await asyncio.create_subprocess_exec(
        *helper_argv("shell"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.defpath, "LANG": "C.UTF-8"},  # nothing of the agent's own, which holds its token
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_START_PATIENCE_S):
            answer, problem = await process.communicate(json.dumps(spec).encode())
    except TimeoutError:
        process.kill()
        raise ProgramError("the terminal could not be started within 10 s; the host is overloaded") from None
    if answer.strip() != b"ok":
        reason = (answer.strip() or problem.strip()[-300:]).decode("utf-8", "replace")
        _LOG.error("shell_host_failed", reason=reason)
        raise ProgramError("the terminal could not be started; the agent's log on the host says why")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return


def _prefix(account: str) -> str:
    return _digest(account)[:16]


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
