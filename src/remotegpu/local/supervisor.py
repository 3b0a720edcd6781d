"""Starts the plan in order, keeps it running, and stops it. One thread, one loop; decisions are in ``schedule``."""

import os
import select
import signal
import socket
import time
from collections.abc import Sequence
from types import FrameType

from remotegpu import __version__
from remotegpu.kit.clock import utc_now
from remotegpu.local import data_dir, logs, objects, proc, processes, schedule, shutdown, state
from remotegpu.local.errors import ServiceFailedError
from remotegpu.local.events import Event, Report
from remotegpu.local.plan import ADMIN_EMAIL, JSON_LOGS, ServiceSpec, Site
from remotegpu.local.proc import Identity
from remotegpu.local.processes import Child
from remotegpu.local.schedule import Progress
from remotegpu.local.state import PlatformPhase, PlatformState, ServiceState

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_STARTING_TICK_S = 0.02
_STEADY_TICK_S = 0.2
_HOUSEKEEPING_S = 2.0
_DISK_FULL_BYTES = 64 * 1024 * 1024
"""Below this, failures are put down to the disk: services are restarted for as long as it takes."""


class Supervisor:
    """Owns the children of one data directory. Create and run it in the main thread."""

    def __init__(
        self,
        site: Site,
        plan: Sequence[ServiceSpec],
        report: Report,
        *,
        recovered: list[str],
    ) -> None:
        self._site = site
        self._plan = list(plan)
        self._report = _undisturbed(report)
        self._recovered = recovered
        self._children: dict[str, Child] = {}
        self._progress = {spec.name: Progress() for spec in plan}
        self._began = time.monotonic()
        self._started_at = {spec.name: self._began for spec in plan}
        self._seconds = {spec.name: 0.0 for spec in plan}
        self._phase: PlatformPhase = "starting"
        self._up_after = 0.0
        self._error = ""
        self._disk_free = 0
        self._housekept = 0.0
        self._written: PlatformState | None = None
        self._stop_requested = False
        self._identity = proc.identity(os.getpid()) or Identity(os.getpid(), 0, "")
        self._wake_in, self._wake_out = socket.socketpair()

    def run(self) -> None:
        """Until a stop signal. Raises :class:`ServiceFailedError` when something does not come up at first."""
        previous = {number: signal.signal(number, self._on_signal) for number in _STOP_SIGNALS}
        try:
            self._disk_full()
            self._open_logs()
            self._come_up()
            while not self._stop_requested:
                self._tick()
                self._sleep(_STEADY_TICK_S)
        finally:
            self._stop_all()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_requested = True
        self._wake_out.send(b"x")

    def _sleep(self, seconds: float) -> None:
        """Sleep, or wake at once for a signal."""
        if select.select([self._wake_in], [], [], seconds)[0]:
            self._wake_in.recv(64)

    def _open_logs(self) -> None:
        at = utc_now().isoformat(timespec="seconds")
        for spec in self._plan:
            program = spec.name if spec.name in JSON_LOGS else ""
            logs.mark_start(self._site.layout.log(spec.name), at, program)

    def _come_up(self) -> None:
        while not self._stop_requested and not schedule.is_up(self._plan, self._progress):
            self._tick()
            failed = schedule.first_failure(self._plan, self._progress)
            if failed:
                self._error = self._progress[failed.name].error
                self._phase = "failed"
                raise ServiceFailedError(self._failure_message(failed))
            self._sleep(_STARTING_TICK_S)
        if not self._stop_requested:
            self._phase = "up"
            self._up_after = time.monotonic() - self._began
            self._report(Event("platform", "up", self._up_after))
            self._write_state()

    def _failure_message(self, spec: ServiceSpec) -> str:
        log = self._site.layout.log(spec.name)
        return f"{spec.name} did not start: {self._error}\nThe end of {log}:\n{logs.excerpt(log)}"

    def _tick(self) -> None:
        """One round over all services, then the files."""
        now = time.monotonic()
        for spec in self._plan:
            if schedule.startable(spec, self._progress, now):
                self._start(spec, now)
            elif spec.name in self._children:
                self._look_at(spec, self._children[spec.name], now)
        if now - self._housekept >= _HOUSEKEEPING_S:
            self._housekept = now
            self._keep_house()
        self._write_state()

    def _start(self, spec: ServiceSpec, now: float) -> None:
        own = self._progress[spec.name]
        own.phase, own.since = "starting", now
        self._started_at[spec.name] = now
        layout = self._site.layout
        try:
            self._children[spec.name] = processes.spawn(
                spec, layout.log(spec.name), layout.process(spec.name)
            )
        except OSError as error:
            self._fail(spec, now, f"cannot be started: {error.strerror} ({error.filename})")

    def _look_at(self, spec: ServiceSpec, child: Child, now: float) -> None:
        own = self._progress[spec.name]
        code = child.exit_code()
        if code is not None:
            self._ended(spec, child, code, now)
        elif own.phase == "starting" and self._is_ready(spec, now - own.since):
            self._become(spec, "ready", now)
        elif own.phase == "starting" and now - own.since > spec.start_timeout_s:
            processes.kill(child)
            self._drop(spec, child)
            self._fail(spec, now, f"was not ready within {spec.start_timeout_s:g} s")

    def _is_ready(self, spec: ServiceSpec, age: float) -> bool:
        if spec.step:
            return False
        return spec.probe.is_ready() if spec.probe else age >= spec.settle_s

    def _become(self, spec: ServiceSpec, phase: schedule.Phase, now: float) -> None:
        own = self._progress[spec.name]
        own.phase, own.since, own.was_ready, own.error = phase, now, True, ""
        self._seconds[spec.name] = now - self._started_at[spec.name]
        self._report(Event(spec.name, phase, self._seconds[spec.name]))

    def _ended(self, spec: ServiceSpec, child: Child, code: int, now: float) -> None:
        self._drop(spec, child)
        if spec.step and code == 0:
            self._become(spec, "done", now)
            return
        self._fail(spec, now, describe_exit(code))

    def _drop(self, spec: ServiceSpec, child: Child) -> None:
        processes.sweep_group(child)
        del self._children[spec.name]
        self._site.layout.process(spec.name).unlink(missing_ok=True)

    def _fail(self, spec: ServiceSpec, now: float, what: str) -> None:
        line = logs.last_error_line(logs.tail(self._site.layout.log(spec.name)))
        error = f"{what}; last error: {line}" if line else what
        own = schedule.after_failure(
            spec, self._progress[spec.name], now, error, patient=self._disk_full() and self._phase == "up"
        )
        self._progress[spec.name] = own
        self._report(
            Event(spec.name, f"{what}, {'given up' if own.phase == 'failed' else 'restarting'}", 0.0)
        )

    def _disk_full(self) -> bool:
        self._disk_free = data_dir.free_bytes(self._site.layout.root)
        return self._disk_free < _DISK_FULL_BYTES

    def _keep_house(self) -> None:
        self._disk_full()
        for spec in self._plan:
            logs.rotate(self._site.layout.log(spec.name))

    def _write_state(self) -> None:
        """Only when something changed, since every write is synced to disk."""
        snapshot = self._snapshot()
        if snapshot != self._written:
            state.write(self._site.layout.state, snapshot)
            self._written = snapshot

    def _snapshot(self) -> PlatformState:
        return PlatformState(
            supervisor=self._identity,
            version=__version__,
            url=self._site.options.url,
            phase=self._phase,
            admin_email=ADMIN_EMAIL,
            error=self._error,
            started_seconds=round(self._up_after, 3),
            # Rounded, so that ordinary writing does not make every snapshot a new one.
            disk_free_bytes=self._disk_free // _DISK_FULL_BYTES * _DISK_FULL_BYTES,
            disk_error=self._disk_error(),
            simulated_gpus=self._site.options.simulate_gpus,
            isolation=self._site.options.isolation or "linux",  # the agent's own default, as root
            recovered=self._recovered,
            services=[self._service_state(spec) for spec in self._plan],
        )

    def _disk_error(self) -> str:
        if self._disk_free >= _DISK_FULL_BYTES:
            return ""
        found = f"less than {_DISK_FULL_BYTES // 2**20} MiB free at {self._site.layout.root}"
        return f"{found}: free some space, services restart by themselves"

    def _service_state(self, spec: ServiceSpec) -> ServiceState:
        own = self._progress[spec.name]
        child = self._children.get(spec.name)
        return ServiceState(
            name=spec.name,
            state=own.phase,
            pid=child.identity.pid if child else None,
            start_ticks=child.identity.start_ticks if child else 0,
            port=spec.port,
            restarts=own.restarts,
            step=spec.step,
            seconds=round(self._seconds[spec.name], 3),
            error=own.error,
        )

    def _stop_all(self) -> None:
        """Whoever needs others first; bounded by each service's own patience."""
        if self._phase != "failed":
            self._phase = "stopping"
        self._write_state()
        for wave in schedule.stop_waves(self._plan):
            shutdown.stop([self._children.pop(name) for name in wave if name in self._children], self._report)
            for name in wave:
                self._progress[name].phase = "stopped"
                self._site.layout.process(name).unlink(missing_ok=True)
        for path in objects.grpc_sockets(self._site.ports):
            path.unlink(missing_ok=True)
        if self._phase == "stopping":
            self._phase = "stopped"
        self._write_state()


def _undisturbed(report: Report) -> Report:
    """A listener that went away (a closed terminal, a broken pipe) must not keep children from being stopped."""

    def tell(event: Event) -> None:
        try:
            report(event)
        except OSError:
            return  # nobody listens any more; the state file still says it all

    return tell


def describe_exit(code: int) -> str:
    """``-9`` → ``ended by SIGKILL``; ``1`` → ``ended with code 1``."""
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"
