"""A person at a terminal: connects as the server's browser terminal does, types, and waits for what appears."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import asyncssh

from integration.agent_access.world import ACME, World

_COMMANDS = itertools.count(1)


@dataclass
class Terminal:
    """``screen`` is everything received so far, replay included; ``events`` the JSON lines about the shell."""

    process: asyncssh.SSHClientProcess[bytes]
    connection: asyncssh.SSHClientConnection
    screen: bytearray = field(default_factory=bytearray)

    def type(self, text: str) -> None:
        self.process.stdin.write(text.encode())

    async def see(self, text: str | bytes, timeout_s: float = 10.0) -> bytes:
        """Read until ``text`` is on the screen."""
        wanted = text.encode() if isinstance(text, str) else text
        async with asyncio.timeout(timeout_s):
            while wanted not in self.screen:
                data = await self.process.stdout.read(65536)
                assert data, f"the terminal ended before {wanted!r} appeared: {bytes(self.screen[-400:])!r}"
                self.screen += data
        return bytes(self.screen)

    async def do(self, command: str) -> bytes:
        """Run a command in the quiet shell; returns its output only."""
        number = next(_COMMANDS)  # never twice: a replay shows the marks of earlier windows too
        begin, end = f"__begin{number}__".encode(), f"__end{number}__".encode()
        self.type(f"echo __be''gin{number}__\n{command}\necho __e''nd{number}__\n")
        async with asyncio.timeout(15):
            while end not in self.screen:
                data = await self.process.stdout.read(65536)
                assert data, f"the terminal ended during {command!r}: {bytes(self.screen[-400:])!r}"
                self.screen += data
        return bytes(self.screen).rpartition(begin + b"\r\n")[2].partition(end)[0]

    async def rest(self) -> bytes:
        """Everything until the terminal ends."""
        async with asyncio.timeout(15):
            self.screen += await self.process.stdout.read()
        return bytes(self.screen)


@contextlib.asynccontextmanager
async def terminal(
    world: World,
    key: asyncssh.SSHKey,
    *,
    shell: str | None = None,
    certificate: asyncssh.SSHCertificate | None = None,
    user: str = ACME,
    size: tuple[int, int] = (80, 24),
    events: bool = False,
) -> AsyncIterator[Terminal]:
    more = {"certificate": certificate} if certificate is not None else {}
    env = {"REMOTEGPU_SHELL": shell} if shell is not None else {}
    if events:
        env["REMOTEGPU_SHELL_EVENTS"] = "1"
    async with await world.connect(key, user=user, **more) as connection:
        process = await connection.create_process(
            term_type="xterm-256color", term_size=size, env=env, encoding=None, stderr=asyncio.subprocess.PIPE
        )
        yield Terminal(process, connection)
