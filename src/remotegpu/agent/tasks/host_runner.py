"""The real :class:`~remotegpu.agent.tasks.adapter.AttemptRunner`: one host process per attempt."""

import asyncio
import os
import signal
import time
from pathlib import Path

import structlog

from remotegpu.agent.accounts import AccountIdentity, processes
from remotegpu.agent.tasks import process_identity
from remotegpu.agent.tasks.adapter import AttemptExit, Started
from remotegpu.agent.tasks.command import ATTEMPT_ID_ENV, Interpreters, host_spec, program_files
from remotegpu.agent.tasks.host_launch import HostLauncher, Launched
from remotegpu.agent.tasks.process_identity import ProcessIdentity
from remotegpu.agent.tasks.workspace import DRAFT_SUFFIX, Workspace
from remotegpu.protocol.attempts import AttemptSpec

START_POLL_S = 0.02
SWEEP_GRACE_S = 5.0
LOST = "its host process ended without a result (killed, out of memory, or the machine restarted)"

log = structlog.get_logger()


class HostRunner:
    """Keeps each attempt in ``root/ATTEMPT_ID``."""

    def __init__(self, root: Path, interpreters: Interpreters) -> None:
        self._root = root
        self._interpreters = interpreters
        self._launcher = HostLauncher()

    async def open(self) -> None:
        """Make the process standing by."""
        await asyncio.to_thread(self._launcher.refill)

    async def start(self, spec: AttemptSpec, account: AccountIdentity) -> Started | None:
        """Start the attempt unless its directory says that it was started before."""
        workspace = self._workspace(spec.attempt_id)
        launched = await asyncio.to_thread(self._launch, workspace, spec, account)
        try:
            return await _until_started(workspace, launched)
        finally:
            if launched is not None:
                os.close(launched.announcement)
                process_identity.reap(launched.pid)
            await asyncio.to_thread(self._launcher.refill)

    async def wait(self, attempt_id: str, process: ProcessIdentity | None) -> AttemptExit:
        """Follow the host process to its end; where it left no result, kill what it left instead."""
        workspace = self._workspace(attempt_id)
        host = workspace.host() or process
        if host is not None:
            await process_identity.ended(host)
        ended = workspace.exit()
        return ended if ended is not None else await asyncio.to_thread(_bury, workspace, attempt_id)

    async def stop(self, attempt_id: str, grace_s: float) -> None:
        """Leave word in the directory and wake the host process."""
        workspace = self._workspace(attempt_id)
        if not workspace.path.exists():
            return
        await asyncio.to_thread(workspace.request_stop, grace_s)
        host = workspace.host()
        if host is not None:
            process_identity.send_signal(host, signal.SIGTERM)

    async def seal(self, attempt_id: str) -> None:
        """Close its directory to the account."""
        await asyncio.to_thread(self._workspace(attempt_id).close_to_account)

    def log_path(self, attempt_id: str) -> Path:
        """Where its output is."""
        return self._workspace(attempt_id).log

    def output_path(self, attempt_id: str) -> Path:
        """Where its result files are."""
        return self._workspace(attempt_id).output

    async def discard(self, attempt_id: str) -> None:
        """Delete its directory."""
        await asyncio.to_thread(self._workspace(attempt_id).delete)

    async def sweep(self, keep: set[str]) -> None:
        """Attempts nobody knows: stopped with a short grace, then deleted."""
        names = os.listdir(self._root) if self._root.exists() else []  # noqa: PTH208 — names only
        for name in names:
            if name in keep or name.removesuffix(DRAFT_SUFFIX) in keep:
                continue
            if not name.endswith(DRAFT_SUFFIX):
                log.warning("attempt of an unknown agent is ended", attempt_id=name)
                await self.stop(name, SWEEP_GRACE_S)
                await self.wait(name, None)
            await asyncio.to_thread(Workspace(self._root / name).delete)

    def close(self) -> None:
        """Release the process standing by; attempts run on."""
        self._launcher.close()

    def _workspace(self, attempt_id: str) -> Workspace:
        """Refuses an id that is not a plain file name: it came over the network."""
        if not attempt_id.replace("-", "").isalnum() or not attempt_id.isascii():
            raise ValueError(f"attempt id is {attempt_id!r}, expected letters, digits and -")
        return Workspace(self._root / attempt_id)

    def _launch(self, workspace: Workspace, spec: AttemptSpec, account: AccountIdentity) -> Launched | None:
        """None when a host process owns the attempt already."""
        host = host_spec(
            spec, account, files=workspace.files, output=workspace.output, interpreters=self._interpreters
        )
        workspace.prepare(host, account, program_files(spec))
        return self._launcher.launch(workspace.path) if workspace.host() is None else None


async def _until_started(workspace: Workspace, launched: Launched | None) -> Started | None:
    """Wait for the command to run, or for the end of everything that could still make it run."""
    while True:
        if launched is not None:
            await _readable(launched.announcement, START_POLL_S)
        host, record, ended = workspace.host(), workspace.started(), workspace.exit()
        if host is not None and record is not None:
            return Started(host, record.started_at)
        owner_gone = host is not None and not process_identity.is_alive(host)
        never_owned = host is None and (launched is None or process_identity.identify(launched.pid) is None)
        if ended is not None or owner_gone or never_owned:
            return None
        await asyncio.sleep(START_POLL_S)


async def _readable(descriptor: int, patience_s: float) -> None:
    """Until ``descriptor`` has a byte or its other end is closed, at most ``patience_s``."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await asyncio.wait_for(ready.wait(), patience_s)
    except TimeoutError:
        return
    finally:
        loop.remove_reader(descriptor)


def _bury(workspace: Workspace, attempt_id: str) -> AttemptExit:
    """The host process is gone without a result: make sure that nothing it started lives on."""
    mark = f"{ATTEMPT_ID_ENV}={attempt_id}".encode()
    left = processes.kill_all(lambda pid: mark in processes.environment_of(pid))
    survivors = "".join(f"; {processes.describe(pid)} would not die" for pid in left)
    started = workspace.started()
    size = workspace.log.stat().st_size if workspace.log.exists() else 0
    return AttemptExit(
        outcome="failed",
        reason=LOST + survivors,
        log_bytes=size,
        started_at=started.started_at if started else None,
        finished_at=time.time(),
    )
