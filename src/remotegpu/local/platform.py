"""The embedded platform as one object: run it here, start it in the background, stop it, look at it."""

import os
import signal
import subprocess
import time
from pathlib import Path

from remotegpu.local import data_dir as data_dirs
from remotegpu.local import leftovers, lock, logs, ports, proc, processes, state, steps
from remotegpu.local.errors import LocalError, NotRunningError, PortBusyError, ServiceFailedError
from remotegpu.local.events import Event, Report
from remotegpu.local.layout import Layout, default_data_dir
from remotegpu.local.plan import ADMIN_EMAIL, Options, ServiceSpec, Site, server_environment
from remotegpu.local.prepare import Tuning, claim, prepare
from remotegpu.local.program_plan import default_isolation, full_plan
from remotegpu.local.secret_files import Secrets
from remotegpu.local.state import PlatformState
from remotegpu.local.supervisor import Supervisor

START_TIMEOUT_S = 900.0
"""Bounds the wait of :meth:`Platform.start`; each service has its own, shorter limit inside."""

PORT_ADVICE = "remotegpu up --port {port}"

STOP_TIMEOUT_S = 90.0
"""Longer than all stop waves together, each of which ends with SIGKILL."""


class Platform:
    """One data directory's platform. Cheap to make: nothing happens before a method is called."""

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        port: int = 8080,
        agent: bool = True,
        simulate_gpus: int = 0,
        isolation: str | None = None,
        port_advice: str = PORT_ADVICE,
    ) -> None:
        """``port_advice``: what to type for another ``{port}``, said when this one is taken."""
        root = os.geteuid() == 0
        self.layout = Layout((data_dir or default_data_dir(os.environ, root=root)).expanduser().resolve())
        asked = Options(port=port, agent=agent, simulate_gpus=simulate_gpus, isolation=isolation)
        self.options = Options(
            port=port,
            agent=agent,
            simulate_gpus=simulate_gpus,
            isolation=default_isolation(asked, root=root),
        )
        self._port_advice = port_advice

    @property
    def url(self) -> str:
        return self.options.url

    @property
    def admin_email(self) -> str:
        return ADMIN_EMAIL

    @property
    def admin_password_file(self) -> Path | None:
        """Where the administrator's first password is kept; None once it was changed."""
        return self.layout.admin_password if self.layout.admin_password.exists() else None

    def admin_password(self) -> str | None:
        """The administrator's first password; None once it was changed."""
        file = self.admin_password_file
        return file.read_text(encoding="utf-8").strip() if file else None

    @property
    def env(self) -> dict[str, str]:
        """The server's variables for this platform, secrets as ``NAME_FILE``. Only after the first start."""
        return server_environment(
            Secrets(self.layout.secrets), ports.remembered_ports(self.layout.ports), self.options
        )

    def run(self, report: Report) -> None:
        """Run in the foreground until SIGTERM or SIGINT; call it in the main thread.

        Raises a :class:`~remotegpu.local.errors.LocalError` when it cannot come up; nothing is left running then.
        """
        claimed = claim(self.layout)
        with lock.held(self.layout.lock, self.url):
            recovered = leftovers.take_down(self.layout)
            for name in recovered:
                report(Event(name, "left over from a killed run, stopped", 0.0))
            self._require_port()
            began = time.monotonic()
            site = prepare(claimed, self.options, Tuning())
            report(Event("data directory", "ready", time.monotonic() - began))
            Supervisor(site, self._plan(site), report, recovered=recovered).run()

    def _plan(self, site: Site) -> list[ServiceSpec]:
        return full_plan(
            site,
            os.environ,
            roles_exist=steps.roles_mark(self.layout).exists(),
            admin_exists=steps.admin_mark(self.layout).exists(),
            enrolled=self.layout.agent_env.exists(),
        )

    def _require_port(self) -> None:
        if not ports.is_free(self.options.port):
            raise self._port_busy()

    def _port_busy(self) -> PortBusyError:
        port = self.options.port
        other = port + 1 if port < ports.MAXIMUM else port - 1
        return PortBusyError(
            f"Port {port} on 127.0.0.1 is taken by {proc.listener(port) or 'another process'}.\n"
            f"End it, or choose another port: {self._port_advice.format(port=other)}"
        )

    def start(self, report: Report) -> PlatformState:
        """Start in the background and wait until it is up. When it is up already, that is all.

        Raises a :class:`~remotegpu.local.errors.LocalError` with the supervisor's own message otherwise.
        """
        running = self.running()
        if running:
            return running if running.phase == "up" else self._await_up(None, running.supervisor.pid, report)
        claim(self.layout)  # refuse here and now, where the message is seen at once
        log = self.layout.log("supervisor")
        logs.mark_start(log, "")
        child = processes.spawn_detached(self._command(), environment=dict(os.environ), log=log)
        return self._await_up(child, child.pid, report)

    def _command(self) -> list[str]:
        options = self.options
        command = [options.python, "-m", "remotegpu.cli.main", "up"]
        command += ["--data-dir", str(self.layout.root), "--port", str(options.port)]
        command += ["--simulate-gpus", str(options.simulate_gpus)]
        command += [] if options.agent else ["--no-agent"]
        return command + (["--isolation", options.isolation] if options.isolation else [])

    def _await_up(self, child: "subprocess.Popen[bytes] | None", pid: int, report: Report) -> PlatformState:
        told: set[str] = set()
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            found = self.state()
            if found and found.supervisor.pid == pid:
                _tell_news(found, told, report)
                if found.phase == "up":
                    report(Event("platform", "up", found.started_seconds))
                    return found
            gone = child.poll() is not None if child else not (found and found.is_supervised)
            if gone:
                raise self._start_error(child.returncode if child else 1)
            time.sleep(0.05)
        raise ServiceFailedError(
            f"the platform was not up within {START_TIMEOUT_S:g} s; see {self.layout.logs}"
        )

    def _start_error(self, code: int) -> LocalError:
        """What the supervisor wrote before it ended, as an error with its exit code."""
        if code == PortBusyError.exit_code:
            return (
                self._port_busy()
            )  # its own words advise 'remotegpu up', which is not always what was typed
        log = self.layout.log("supervisor")
        chapter = logs.tail(log).rpartition(logs.START_MARK)[2]
        _, mark, message = chapter.rpartition("remotegpu: ")
        said = chapter.strip() or f"it said nothing, not even in {log}"
        error = ServiceFailedError(
            message.strip() if mark else f"the supervisor ended with code {code}: {said}"
        )
        error.exit_code = code or 1
        return error

    def stop(self, report: Report) -> bool:
        """Stop everything, in order. False when nothing ran. Also ends what a killed supervisor left behind."""
        found = self.state()
        was_running = bool(found and found.is_supervised)
        if found and was_running:
            processes.send(found.supervisor, signal.SIGTERM)
            told: set[str] = set()
            deadline = time.monotonic() + STOP_TIMEOUT_S
            while proc.is_alive(found.supervisor) and time.monotonic() < deadline:
                _tell_stops(self.state(), told, report)
                time.sleep(0.05)
            processes.send(found.supervisor, signal.SIGKILL)
            _tell_stops(self.state(), told, report)
        if not self.layout.processes.exists():
            return was_running
        left = leftovers.take_down(self.layout)
        for name in left:
            report(Event(name, "stopped", 0.0))
        return was_running or bool(left)

    def state(self) -> PlatformState | None:
        """The supervisor's last snapshot, whether or not it still runs.

        Raises :class:`~remotegpu.local.errors.UnwritableDataDirError` for a data directory that is none.
        """
        data_dirs.require_directory(self.layout.root)
        try:
            return state.read(self.layout.state)
        except PermissionError as error:
            raise data_dirs.unreadable(self.layout.root, error) from error

    def running(self) -> PlatformState | None:
        """The snapshot while a supervisor runs that is up, or on its way there."""
        found = self.state()
        return found if found and found.is_supervised and found.phase in {"up", "starting"} else None

    def require_state(self) -> PlatformState:
        """The snapshot. Raises :class:`NotRunningError` when there never was one."""
        found = self.state()
        if found is None:
            raise NotRunningError(
                f"No platform has run in {self.layout.root}.\nStart one with 'remotegpu up', or name its --data-dir."
            )
        return found


def _tell_news(found: PlatformState, told: set[str], report: Report) -> None:
    for service in found.services:
        if service.state in {"ready", "done"} and service.name not in told:
            told.add(service.name)
            report(Event(service.name, service.state, service.seconds))


def _tell_stops(found: PlatformState | None, told: set[str], report: Report) -> None:
    for service in found.services if found else []:
        if service.state == "stopped" and not service.step and service.name not in told:
            told.add(service.name)
            report(Event(service.name, "stopped", 0.0))
