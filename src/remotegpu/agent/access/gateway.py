"""Remote access as the agent sees it: give it the desired state, and it keeps access to that."""

import asyncio
import importlib
import logging
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Protocol

import structlog

from remotegpu.agent.access import host_key
from remotegpu.agent.access.guests import Guests
from remotegpu.agent.access.launch import Launcher
from remotegpu.agent.access.shells import ShellHosts
from remotegpu.agent.access.streams import Dial, Streams
from remotegpu.agent.access.transport import AgentStream
from remotegpu.agent.accounts import AccountIdentity
from remotegpu.protocol.sync import DesiredState

_LOG = structlog.get_logger(__name__)


class SshServer(Protocol):
    """The part of ``server.py`` that serves a stream."""

    async def serve(self, transport: AgentStream) -> None: ...


class AccountLookup(Protocol):
    """The part of the accounts adapter that access needs. It must not block for long."""

    def lookup(self, name: str) -> AccountIdentity | None: ...


class AccessGateway:
    """One per agent. No port is opened and no socket that another user could reach.

    ``dial`` opens a WebSocket at a path of the server. Creates the host key in ``data_dir`` if there is none.
    """

    def __init__(self, *, data_dir: Path, accounts: AccountLookup, dial: Dial) -> None:
        self.host_key = host_key.public_line_in(data_dir)
        self._data_dir = data_dir
        self._lookup = accounts.lookup
        self._shells = ShellHosts(data_dir / "shells")
        self._guests = Guests()
        self._launcher = Launcher(self._shells, agent_path=os.environ.get("PATH"))
        self._server: SshServer | None = None
        self._opening = asyncio.Lock()
        self._streams = Streams(dial, self._serve)
        self._closing: set[asyncio.Task[None]] = set()
        self._applied = False

    async def start(self) -> None:
        """Get ready to serve streams. Raises ``OSError`` when the shells' directory cannot be made."""
        # asyncssh logs commands and environments at INFO: they are the customer's, and may hold secrets.
        logging.getLogger("asyncssh").setLevel(logging.WARNING)
        self._shells.start()

    def apply(self, desired: DesiredState) -> None:
        """Dial new streams, let in whoever may, cut whoever no longer may. Returns at once."""
        ended = self._guests.apply(desired)
        for account in ended:
            self._in_background(self._shells.close_account(account))
        if not self._applied:
            self._applied = True
            self._in_background(self._shells.close_all_but([account.name for account in desired.accounts]))
        self._streams.apply(desired.streams)

    def close_account(self, name: str) -> asyncio.Task[None]:
        """Cut every connection of ``name`` before returning; the task is done when its shells are gone too."""
        self._guests.cut(name, "the lease has ended")
        return self._in_background(self._shells.close_account(name))

    async def stop(self) -> None:
        """Close the streams. Web shells stay, for the next agent."""
        await self._streams.stop()
        if self._closing:
            await asyncio.wait(self._closing)
        self._shells.stop()

    async def _serve(self, transport: AgentStream) -> None:
        await (await self._ssh_server()).serve(transport)

    async def _ssh_server(self) -> "SshServer":
        """Made for the first stream: loading it takes a moment and a quarter of the agent's memory."""
        async with self._opening:
            if self._server is None:
                module = await asyncio.to_thread(importlib.import_module, "remotegpu.agent.access.server")
                self._server = await module.open_server(
                    data_dir=self._data_dir, guests=self._guests, launcher=self._launcher, lookup=self._lookup
                )
            assert self._server is not None
            return self._server

    def _in_background(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closed)
        return task

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _LOG.error("closing_shells_failed", reason=repr(task.exception()))
