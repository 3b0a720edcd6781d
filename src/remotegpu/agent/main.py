"""The agent as a process: settings, one instance per data directory, everything wired, and a clean end.

``remotegpu-agent`` without arguments runs it. Arguments go to the command line of ``remotegpu agent``, in a program
of its own: the agent stays resident for months and need not carry a parser and its help texts.
"""

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TextIO

import structlog

from remotegpu import __version__
from remotegpu.agent import log_setup, settings, status
from remotegpu.agent.accounts.adapter import Accounts
from remotegpu.agent.accounts.directory import DirectoryAccounts
from remotegpu.agent.accounts.linux import LinuxAccounts
from remotegpu.agent.actions import Actor
from remotegpu.agent.backoff import Backoff
from remotegpu.agent.client import ServerClient
from remotegpu.agent.journal import Journal, JournalError
from remotegpu.agent.measuring import Measurements
from remotegpu.agent.settings import Settings
from remotegpu.agent.syncing import Conversation
from remotegpu.agent.tasks.command import SYSTEM_PATH, Interpreters
from remotegpu.agent.tasks.host_runner import HostRunner
from remotegpu.agent.token_rotation import TokenRotator
from remotegpu.agent.token_store import TokenStore
from remotegpu.kit.environment import SettingsError

WORKER_THREADS = 6
"""For what blocks (fsync, useradd, hashing). More would only cost memory: each gets a malloc arena."""

EXIT_SETTINGS = 2
EXIT_IN_USE = 3
EXIT_UNUSABLE = 4

log = structlog.get_logger()


class StartError(Exception):
    """The agent cannot start; the message says what to do, ``code`` is the exit status."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def main() -> None:
    """Entry point of ``remotegpu-agent``."""
    if len(sys.argv) > 1:
        os.execv(sys.executable, [sys.executable, "-m", "remotegpu.cli.agent", *sys.argv[1:]])  # noqa: S606 — see above
    raise SystemExit(start(os.environ))


def start(environ: Mapping[str, str]) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit status."""
    leave_out_openssl()
    try:
        loaded = settings.load(environ)
        log_setup.configure(loaded.log_level)
        prepare_data_dir(loaded)
        with hold_lock(loaded.data_dir):
            asyncio.run(_run(loaded))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_SETTINGS
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    except JournalError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_UNUSABLE
    return 0


def leave_out_openssl() -> None:
    """asyncssh takes in pyOpenSSL where that is installed: memory for X.509 certificates, which we never trust."""
    absent: Any = None  # Any: how Python notes that a module must not be looked for
    sys.modules.setdefault("OpenSSL", absent)


def prepare_data_dir(loaded: Settings) -> None:
    """Create it. Accounts must be able to pass through to their attempts, and to see nothing on the way."""
    mode = 0o711 if loaded.isolation == "linux" else 0o700
    try:
        for path in (loaded.data_dir, loaded.data_dir / "attempts"):
            path.mkdir(mode=mode, parents=True, exist_ok=True)
            path.chmod(mode)
    except OSError as error:
        raise StartError(
            f"cannot use the data directory {error.filename}: {error.strerror}; "
            "set REMOTEGPU_DATA_DIR to a directory this user may write",
            EXIT_UNUSABLE,
        ) from error


def hold_lock(data_dir: Path) -> TextIO:
    """Keep a second agent off this data directory for as long as the file is open; a crash opens it again."""
    lock = (data_dir / "agent.lock").open("a", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise StartError(
            f"another agent runs with the data directory {data_dir}; stop it, or set REMOTEGPU_DATA_DIR",
            EXIT_IN_USE,
        ) from error
    return lock


def open_accounts(loaded: Settings) -> Accounts:
    """The accounts adapter for the isolation asked for."""
    if loaded.isolation == "linux":
        return LinuxAccounts(loaded.data_dir)
    return DirectoryAccounts(loaded.data_dir / "accounts")


def interpreters(loaded: Settings, own_path: str) -> Interpreters:
    """Without isolation a task finds what the agent's user finds; an account finds the system's programs."""
    path = own_path if loaded.isolation == "directory" and own_path else SYSTEM_PATH
    return Interpreters(python=loaded.python, path=path)


async def _run(loaded: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(WORKER_THREADS, thread_name_prefix="agent"))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        parts = await _open(loaded, stack)
        log.info("agent started", version=__version__, server=loaded.server_url, isolation=loaded.isolation)
        work = [asyncio.create_task(_for_ever(part)) for part in parts]
        await stopping.wait()
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        log.info("agent stops; attempts and shells go on")


async def _open(loaded: Settings, stack: AsyncExitStack) -> list[Callable[[], Coroutine[None, None, None]]]:
    """Wire everything, closing in reverse order. Returns what has to run."""
    from remotegpu.agent.access.gateway import AccessGateway  # noqa: PLC0415 — asyncssh, half of our memory
    from remotegpu.agent.gpus import open_gpus  # noqa: PLC0415 — with it

    tokens = TokenStore(loaded.data_dir / "token.json", loaded.agent_token)
    client = ServerClient(loaded.server_url, tokens.current())
    stack.push_async_callback(client.close)
    journal = Journal(loaded.data_dir / "journal.sqlite3")
    stack.callback(journal.close)
    await asyncio.to_thread(journal.purge)
    accounts = open_accounts(loaded)
    gpus = open_gpus(loaded.simulate_gpus)
    stack.callback(gpus.close)
    gateway = AccessGateway(data_dir=loaded.data_dir, accounts=accounts, dial=client.dial)
    await gateway.start()
    stack.push_async_callback(gateway.stop)
    runner = HostRunner(loaded.data_dir / "attempts", interpreters(loaded, os.environ.get("PATH", "")))
    stack.callback(runner.close)
    await runner.open()

    def tell() -> None:
        conversation.tell()

    actor = Actor(journal=journal, runner=runner, accounts=accounts, access=gateway, uplink=client, news=tell)
    stack.push_async_callback(actor.close)
    measurements = Measurements(gpus, ssh_host_key=gateway.host_key, isolation=loaded.isolation, news=tell)
    rotator = TokenRotator(client, tokens)
    stack.push_async_callback(rotator.close)
    conversation = Conversation(
        server=client,
        host=actor,
        measurements=measurements,
        followers=[gateway.apply, measurements.follow, rotator.follow],
    )
    await actor.adopt()
    return [measurements.run, conversation.run, status.writer(loaded, conversation.contact)]


async def _for_ever(part: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run one part of the agent, and again when it breaks: the others must not end with it."""
    backoff = Backoff(1.0, 60.0)
    while True:
        try:
            await part()
        except Exception as error:
            log.exception("a part of the agent broke and is started again", error=repr(error))
        await asyncio.sleep(backoff.next())


if __name__ == "__main__":
    main()
