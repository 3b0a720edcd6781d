"""How the agent on this host is doing, for people on this host: ``remotegpu agent status``."""

import asyncio
import fcntl
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from remotegpu import __version__
from remotegpu.agent.journal import Journal
from remotegpu.agent.settings import Settings
from remotegpu.agent.syncing import Contact
from remotegpu.kit.files import write_private

WRITE_INTERVAL_S = 1.0


class AgentStatus(msgspec.Struct, kw_only=True):
    """``status.json`` plus what the lock and the journal say. Times are epoch seconds."""

    running: bool = False
    version: str = ""
    server_url: str = ""
    isolation: str = ""
    started_at: float = 0.0
    connected: bool = False
    connected_changed_at: float = 0.0
    revision: int = 0
    problem: str = ""
    attempts: list[str] = []
    accounts: list[str] = []


def writer(loaded: Settings, contact: Contact) -> Callable[[], Coroutine[None, None, None]]:
    """What keeps ``status.json`` current: written when something changed, at most once a second."""
    status = AgentStatus(
        version=__version__,
        server_url=loaded.server_url,
        isolation=loaded.isolation,
        started_at=time.time(),
    )

    async def keep() -> None:
        written = b""
        while True:
            status.connected, status.connected_changed_at = contact.connected, contact.since
            status.revision, status.problem = contact.revision, contact.problem
            content = msgspec.json.encode(status)
            if content != written:
                await asyncio.to_thread(write_private, loaded.data_dir / "status.json", content)
                written = content
            await asyncio.sleep(WRITE_INTERVAL_S)

    return keep


def read(data_dir: Path) -> AgentStatus:
    """The status of the agent with this data directory. Raises ``OSError`` where there never was one."""
    status = msgspec.json.decode((data_dir / "status.json").read_bytes(), type=AgentStatus)
    status.running = _is_locked(data_dir / "agent.lock")
    status.connected = status.connected and status.running
    journal = Journal(data_dir / "journal.sqlite3")
    try:
        status.attempts = [f"{each.spec.attempt_id} {each.phase}" for each in journal.attempts()]
        status.accounts = [f"{each.name} {each.phase}" for each in journal.accounts()]
    finally:
        journal.close()
    return status


def _is_locked(path: Path) -> bool:
    with path.open("a", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def describe(status: AgentStatus) -> str:
    """For people: a line per fact."""
    contact = "connected" if status.connected else status.problem or "not connected"
    changed = datetime.fromtimestamp(status.connected_changed_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lines = [
        f"agent      {status.version}, {'running' if status.running else 'not running'}",
        f"server     {status.server_url}: {contact} (since {changed})",
        f"isolation  {status.isolation}",
        f"revision   {status.revision}",
        *(f"attempt    {attempt}" for attempt in status.attempts),
        *(f"account    {account}" for account in status.accounts),
    ]
    return "\n".join(lines)
