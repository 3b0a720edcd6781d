"""What ``remotegpu status`` shows: the supervisor's snapshot checked against what really runs."""

from dataclasses import dataclass

from remotegpu.local import data_dir, logs, proc
from remotegpu.local.layout import Layout
from remotegpu.local.proc import Identity
from remotegpu.local.state import PlatformState, ServiceState


@dataclass(frozen=True)
class ServiceView:
    """One row. ``uptime_s`` and ``memory_bytes`` are None while it does not run."""

    name: str
    state: str
    pid: int | None
    uptime_s: float | None
    port: int | None
    memory_bytes: int | None
    restarts: int
    last_error: str


@dataclass(frozen=True)
class StatusView:
    """``state``: up, starting, stopping, degraded (a service is not ready), crashed (killed, not stopped), stopped."""

    state: str
    url: str
    data_dir: str
    version: str
    supervisor_pid: int | None
    started_in_s: float
    admin_email: str
    admin_password_file: str | None
    disk_free_bytes: int
    problems: list[str]
    services: list[ServiceView]

    @property
    def exit_code(self) -> int:
        """0 well, 1 running but not well, 3 not running."""
        if self.state in {"stopped", "crashed", "failed"}:
            return 3
        return 0 if self.state == "up" else 1


def look(layout: Layout, found: PlatformState) -> StatusView:
    """Read everything that can be seen from outside the supervisor."""
    supervised = found.is_supervised
    services = [
        _service(layout, found, entry, supervised=supervised) for entry in found.services if not entry.step
    ]
    return StatusView(
        state=_overall(found, services, supervised=supervised),
        url=found.url,
        data_dir=str(layout.root),
        version=found.version,
        supervisor_pid=found.supervisor.pid if supervised else None,
        started_in_s=found.started_seconds,
        admin_email=found.admin_email,
        admin_password_file=str(layout.admin_password) if layout.admin_password.exists() else None,
        disk_free_bytes=data_dir.free_bytes(layout.root),
        problems=_problems(found, supervised=supervised),
        services=services,
    )


def _overall(found: PlatformState, services: list[ServiceView], *, supervised: bool) -> str:
    if not supervised:
        return found.phase if found.phase in {"stopped", "failed"} else "crashed"
    if found.phase == "up" and (found.disk_error or any(service.state != "ready" for service in services)):
        return "degraded"
    return found.phase


def _problems(found: PlatformState, *, supervised: bool) -> list[str]:
    problems = [text for text in (found.disk_error, found.error) if text]
    if not supervised and found.phase not in {"stopped", "failed"}:
        problems.append("the supervisor was killed; 'remotegpu up' recovers, nothing is lost")
    steps = [entry for entry in found.services if entry.step and entry.state == "failed"]
    return problems + [f"{entry.name}: {entry.error}" for entry in steps]


def _service(layout: Layout, found: PlatformState, entry: ServiceState, *, supervised: bool) -> ServiceView:
    process = Identity(entry.pid, entry.start_ticks, found.supervisor.boot) if entry.pid else None
    alive = process is not None and proc.is_alive(process)
    logged = logs.last_error_line(logs.tail(layout.log(entry.name)))
    return ServiceView(
        name=entry.name,
        state=_service_state(entry, alive=alive, supervised=supervised),
        pid=entry.pid if alive else None,
        uptime_s=round(proc.age_seconds(process), 1) if process and alive else None,
        port=entry.port,
        memory_bytes=proc.memory_bytes(process.pid, same_session=entry.name == "agent")
        if process and alive
        else None,
        restarts=entry.restarts,
        last_error=entry.error or logged,
    )


def _service_state(entry: ServiceState, *, alive: bool, supervised: bool) -> str:
    if supervised:
        # The supervisor looks a few times a second; a service that has just died is not ready, whatever it wrote.
        return "backoff" if entry.state == "ready" and not alive else entry.state
    return "left over" if alive else "stopped"
