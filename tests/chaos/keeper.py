"""Keeps the processes up, and kills them as planned.

It restarts whatever ends, and remembers who ended without having been killed: nothing of ours may break because
something else was away.
"""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from chaos import witness
from chaos.plans import Kill
from remotegpu.agent.tasks.command import ATTEMPT_ID_ENV
from remotegpu.local import logs, proc, processes, shutdown
from remotegpu.local.layout import Layout
from remotegpu.local.plan import ServiceSpec
from remotegpu.local.processes import Child

T = TypeVar("T")

TICK_S = 0.02
RESTART_S = 0.3
"""Pause before a process that ended by itself is started again."""


@dataclass
class Kept:
    """One process that is to run. ``start_at``: when to start it next (monotonic). ``kills``: when (epoch seconds)."""

    spec: ServiceSpec
    child: Child | None = None
    start_at: float = 0.0
    starts: int = 0
    killed: bool = False
    kills: list[float] = field(default_factory=list)


@dataclass
class Keeper:
    """Use in the main thread: its children get their stop signal when the thread that started them ends."""

    layout: Layout
    attempt_roots: Sequence[Path]
    kept: dict[str, Kept] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    killed_attempts: set[str] = field(default_factory=set)
    story: list[str] = field(default_factory=list)
    has_killed: bool = False
    _began: float = field(default_factory=time.monotonic)

    def add(self, specs: Sequence[ServiceSpec]) -> None:
        """Keep these up from the next turn on, started in this order."""
        for spec in specs:
            self.kept[spec.name] = Kept(spec)

    async def run(self) -> None:
        """For ever."""
        while True:
            self.turn()
            await asyncio.sleep(TICK_S)

    def turn(self) -> None:
        """Look at each process once."""
        now = time.monotonic()
        for each in self.kept.values():
            if each.child is not None and (code := each.child.exit_code()) is not None:
                self._ended(each, code, now)
            elif each.child is None and now >= each.start_at:
                self._start(each)

    async def until_ready(self, names: Sequence[str], patience_s: float = 60) -> None:
        """Until every probe says yes. Raises with the end of the log of who is not ready."""
        deadline = time.monotonic() + patience_s
        for name in names:
            while not await self._is_ready(self.kept[name]):
                if time.monotonic() > deadline or (self.unexpected and not self.has_killed):
                    raise AssertionError(f"{name} is not ready:\n{logs.excerpt(self.layout.log(name))}")
                await asyncio.sleep(TICK_S)

    async def until_answering(self, names: Sequence[str], patience_s: float) -> None:
        """The same, but no longer than this, and without a complaint."""
        try:
            async with asyncio.timeout(patience_s):
                await self.until_ready(names)
        except TimeoutError:
            self._tell(f"not all of {', '.join(names)} answered within {patience_s:g} s")

    async def _is_ready(self, each: Kept) -> bool:
        if each.child is None:
            return False
        return each.spec.probe is None or await asyncio.to_thread(each.spec.probe.is_ready)

    def _start(self, each: Kept) -> None:
        each.child = processes.spawn(
            each.spec, self.layout.log(each.spec.name), self.layout.process(each.spec.name)
        )
        each.starts += 1
        each.killed = False

    def _ended(self, each: Kept, code: int, now: float) -> None:
        assert each.child is not None
        name = each.spec.name
        if not each.killed:
            self._tell(f"{name} ended with {code} although nobody killed it")
            each.killed, each.start_at = True, now + RESTART_S
            self.unexpected.append(
                f"{name} ended with {code} by itself:\n{logs.excerpt(self.layout.log(name))}"
            )
        if now >= each.start_at:
            processes.sweep_group(each.child)
            if name == "postgres":
                end_workers_of(self.layout.postgres)
            each.child = None

    def kill(self, kill: Kill) -> None:
        """SIGKILL as planned. Whoever is down already, stays down as it was."""
        self.has_killed = True
        if kill.target == "attempt":
            self._kill_attempt(kill)
            return
        each = self.kept[kill.target]
        child = each.child
        if child is None or child.exit_code() is not None:
            self._tell(f"{kill}: is down already")
            return
        tree = proc.descendants(child.identity.pid)
        victims = {"leader": tree[:1], "everything": tree, "one_child": _one(tree[1:], kill.pick) or tree[:1]}
        self._tell(f"{kill}: {len(victims[kill.reach])} process(es)")
        each.killed = (
            True  # also without its leader: PostgreSQL ends when it loses the process that replays its log
        )
        each.start_at = time.monotonic() + kill.down_s
        each.kills.append(time.time())
        hosts = attempt_hosts(self.attempt_roots)
        for pid in victims[kill.reach]:
            if pid in hosts:  # an agent that is killed with everything below it takes its attempts along
                self.killed_attempts.add(hosts[pid])
            _kill(pid)

    def _kill_attempt(self, kill: Kill) -> None:
        """The host process of one attempt, as the kernel does when memory is short."""
        hosts = attempt_hosts(self.attempt_roots)
        for pid, attempt_id in _one(sorted(hosts.items()), kill.pick):
            self._tell(f"{kill}: {attempt_id}")
            self.killed_attempts.add(attempt_id)
            _kill(pid)

    def _tell(self, text: str) -> None:
        self.story.append(f"{time.monotonic() - self._began:7.2f}  {text}")

    def stop(self) -> None:
        """Stop everything, last started first."""
        for each in reversed(self.kept.values()):
            if each.child is not None:
                shutdown.stop([each.child], lambda _event: None)
                each.child = None


def end_workers_of(cluster: Path) -> None:
    """PostgreSQL's processes lead sessions of their own. One that replays the log does not notice that its postmaster
    was killed, and would keep the next one from starting: what a service manager does, by control group."""
    for pid in proc.pids():
        if proc.working_directory(pid) == cluster:
            _kill(pid)


def attempt_hosts(roots: Sequence[Path]) -> dict[int, str]:
    """Pid of each running attempt host process, and its attempt."""
    found: dict[int, str] = {}
    for pid in proc.pids():
        where = proc.working_directory(pid)
        if where is not None and where.parent in roots:
            found[pid] = where.name
    return found


def strays(directory: Path) -> list[str]:
    """Processes of attempts that live on: those that carry the witness's mark."""
    mark = f"{witness.MARK}={directory}"
    return [
        f"process {pid} of attempt {_attempt_of(pid)}"
        for pid in proc.pids()
        if proc.environment_has(pid, mark) and (stat := proc.stat(pid)) and stat.state != "Z"
    ]


def kill_strays(directory: Path) -> None:
    """The clean-up of a run that failed."""
    for pid in proc.pids():
        if proc.environment_has(pid, f"{witness.MARK}={directory}"):
            _kill(pid)


def _attempt_of(pid: int) -> str:
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return "gone by now"
    prefix = f"{ATTEMPT_ID_ENV}=".encode()
    return next(
        (each.removeprefix(prefix).decode() for each in variables if each.startswith(prefix)), "unknown"
    )


def _one(choices: Sequence[T], pick: float) -> list[T]:
    return [choices[int(pick * len(choices))]] if choices else []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it ended since it was found
