"""``up``, ``down``, ``status`` and the services' logs: the platform on this computer.

Exit status beside 0: 1 something failed or is not well, 3 not running, 10 port busy, 11 damaged or foreign data
directory, 12 made by a newer version, 13 not writable or not enterable, 14 disk full, 15 wheel missing, 16 running
already.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators

from remotegpu.cli.output import print_json, print_line, print_note, show_bytes

if TYPE_CHECKING:
    from remotegpu.local.errors import LocalError
    from remotegpu.local.events import Event
    from remotegpu.local.platform import Platform
    from remotegpu.local.running import Asked
    from remotegpu.local.view import ServiceView, StatusView

DataDir = Annotated[
    Path | None, Parameter(help="Where everything is kept (default: the user's data directory).")
]
Port = Annotated[
    int | None,
    Parameter(
        help="The console's port on 127.0.0.1 (default: 8080).",
        validator=validators.Number(gte=1, lte=65_535),
    ),
]
MAX_SIMULATED_GPUS = 64
"""The agent's own limit, which it would only tell once everything else runs."""

SimulateGpus = Annotated[
    int | None,
    Parameter(
        help="Show this many simulated GPUs on this machine (default: none).",
        validator=validators.Number(gte=0, lte=MAX_SIMULATED_GPUS),
    ),
]
Json = Annotated[bool, Parameter(negative=(), help="Print one JSON document instead.")]


def up(
    *,
    data_dir: DataDir = None,
    port: Port = None,
    detach: Annotated[bool, Parameter(negative=(), help="Go on in the background.")] = False,
    simulate_gpus: SimulateGpus = None,
    agent: Annotated[
        bool | None, Parameter(negative="--no-agent", help="Offer this machine itself (default: yes).")
    ] = None,
    isolation: Annotated[
        Literal["linux", "directory"] | None,
        Parameter(help="How customers are kept apart here (default: linux as root, else directory)."),
    ] = None,
    json: Json = False,
) -> int:
    """Start the platform on this computer: PostgreSQL, Valkey, S3, server, worker and agent, all on loopback."""
    from remotegpu.local.errors import LocalError
    from remotegpu.local.platform import Platform
    from remotegpu.local.running import Asked

    asked = Asked(port=port, agent=agent, simulate_gpus=simulate_gpus, isolation=isolation)
    options = asked.options
    platform = Platform(
        data_dir,
        port=options.port,
        agent=options.agent,
        simulate_gpus=options.simulate_gpus,
        isolation=options.isolation,
    )
    try:
        if detach:
            return _start_in_background(platform, asked, as_json=json)
        platform.run(lambda event: _print_foreground(platform, event, as_json=json))
    except LocalError as error:
        return _print_failure(error)
    return 0


def _start_in_background(platform: Platform, asked: Asked, *, as_json: bool) -> int:
    """A platform that runs already is a success, unless it is not the one that was asked for."""
    from remotegpu.local.running import require_same

    running = platform.running()
    if running:
        require_same(asked, running, platform.layout.root)
        print_note(f"It runs already: pid {running.supervisor.pid}, data in {platform.layout.root}")
    platform.start(_print_event)
    return _print_up(platform, as_json=as_json)


def _print_event(event: Event) -> None:
    """``  1.24 s  postgres ready`` on stderr."""
    print_note(f"{event.seconds:7.2f} s  {event.service} {event.what}")


def _print_foreground(platform: Platform, event: Event, *, as_json: bool) -> None:
    _print_event(event)
    if (event.service, event.what) == ("platform", "up"):
        _print_up(platform, as_json=as_json)
        if sys.stderr.isatty():
            print_note("Ctrl-C stops it.")


def _print_up(platform: Platform, *, as_json: bool) -> int:
    view = _view(platform)
    if as_json:
        print_json(_as_document(view))
        return 0
    print_line(f"RemoteGPU is up at {view.url}")
    print_line(f"  sign in as {view.admin_email}")
    if view.admin_password_file:
        print_line(f"  password in {view.admin_password_file}")
    return 0


def _print_failure(error: LocalError) -> int:
    print_note(f"remotegpu: {error}")
    return error.exit_code


def down(*, data_dir: DataDir = None, json: Json = False) -> int:
    """Stop the platform on this computer. Its data stays; running tasks of customers go on."""
    from remotegpu.local.errors import LocalError
    from remotegpu.local.platform import Platform

    try:
        platform = Platform(data_dir)
        stopped = platform.stop(lambda event: print_note(f"  {event.service} {event.what}"))
    except LocalError as error:
        return _print_failure(error)
    if json:
        print_json({"stopped": stopped, "data_dir": str(platform.layout.root)})
    else:
        print_line("RemoteGPU is down." if stopped else "Nothing was running.")
    return 0


def status(*, data_dir: DataDir = None, json: Json = False) -> int:
    """Show each process of the platform on this computer: state, pid, uptime, port, memory, last error."""
    from remotegpu.local.errors import LocalError
    from remotegpu.local.platform import Platform

    try:
        view = _view(Platform(data_dir))
    except LocalError as error:
        return _print_failure(error)
    if json:
        print_json(_as_document(view))
    else:
        _print_status(view)
    return view.exit_code


def _view(platform: Platform) -> StatusView:
    from remotegpu.local.view import look

    return look(platform.layout, platform.require_state())


def _as_document(view: StatusView) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(view)


def _print_status(view: StatusView) -> None:
    from remotegpu.cli.output import print_table

    print_line(
        f"{view.state}  {view.url}  (data in {view.data_dir}, {show_bytes(view.disk_free_bytes)} free)"
    )
    secret = f"first password in {view.admin_password_file}" if view.admin_password_file else "own password"
    print_line(f"administrator {view.admin_email}, {secret}")
    for problem in view.problems:
        print_line(f"! {problem}")
    columns = ("SERVICE", "STATE", "PID", "UP", "PORT", "MEMORY", "RESTARTS", "LAST ERROR")
    print_table(columns, [_row(service) for service in view.services], empty="no services")


def _row(service: ServiceView) -> list[str]:
    return [
        service.name,
        service.state,
        str(service.pid or "-"),
        _show_duration(service.uptime_s),
        str(service.port or "-"),
        show_bytes(service.memory_bytes),
        str(service.restarts),
        service.last_error or "-",
    ]


def _show_duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
    )


def service_logs(service: str | None, *, data_dir: Path | None = None, follow: bool = False) -> int:
    """Print a service's log (all of them without a name); ``follow`` goes on until Ctrl-C."""
    from remotegpu.local.data_dir import require_directory
    from remotegpu.local.errors import LocalError
    from remotegpu.local.platform import Platform

    if service is not None:
        _require_service(service)
    layout = Platform(data_dir).layout
    try:
        require_directory(layout.logs)
    except LocalError as error:
        return _print_failure(error)
    found = [layout.log(service)] if service else sorted(layout.logs.glob("*.log"))
    missing = not found or not all(path.exists() for path in found)
    if missing:
        what = f"is no log of {service}" if service and layout.logs.is_dir() else "are no logs"
        print_note(f"remotegpu: there {what} in {layout.logs}; start the platform with 'remotegpu up'")
        return 3
    if follow:
        return _follow(found)
    for path in found:
        _print_log(path, heading=service is None)
    return 0


def _require_service(name: str) -> None:
    """Raises :class:`UsageError`. A task's id never comes here: see :mod:`remotegpu.cli.client.logs`."""
    from remotegpu.client.errors import UsageError
    from remotegpu.local.plan import SERVICES, STEPS, SUPERVISOR

    if name in {*SERVICES, *STEPS, SUPERVISOR}:
        return
    raise UsageError(
        f"{name!r} names no service of the platform and no task",
        f"{', '.join(SERVICES)}; {SUPERVISOR}; a step of the start ({', '.join(STEPS)}); "
        "or the first characters of a task's id, at least four",
        "remotegpu status shows the services, remotegpu tasks the tasks",
    )


def _print_log(path: Path, *, heading: bool) -> None:
    if heading:
        print_line(f"==> {path.stem} <==")
    if path.exists():
        with path.open("rb") as stream:
            while block := stream.read(1 << 16):
                sys.stdout.buffer.write(block)
        sys.stdout.flush()


def _follow(paths: list[Path]) -> int:
    """New text of all logs, each line marked with its service when there are several."""
    from remotegpu.local import logs

    followers = {path.stem: logs.follow(path, start=max(0, _size(path) - 4096)) for path in paths}
    try:
        while True:
            for name, follower in followers.items():
                _print_added(name if len(followers) > 1 else "", next(follower))
            time.sleep(0.2)
    except KeyboardInterrupt:
        return 130


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _print_added(name: str, text: str) -> None:
    if not text:
        return
    if not name:
        sys.stdout.write(text)
    for line in text.splitlines() if name else []:
        sys.stdout.write(f"{name:>10} | {line}\n")
    sys.stdout.flush()
