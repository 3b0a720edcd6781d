"""Runs the application under granian."""

import os
from collections.abc import Callable

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings

from remotegpu.server import settings as server_settings
from remotegpu.server.settings import Settings

CONNECTIONS = 20_000
"""Polls held at once: every agent keeps one open, so the usual limits of web servers do not fit."""


def application() -> Callable[..., object]:
    """Factory that granian calls in its worker process; the process that only supervises stays small without it."""
    from remotegpu.server.app import create_app  # noqa: PLC0415
    from remotegpu.server.core.logging import configure  # noqa: PLC0415
    from remotegpu.server.requests import observed  # noqa: PLC0415

    settings = server_settings.load()
    configure(settings.log_level, "server")
    return observed(create_app(settings))


def run(settings: Settings) -> None:
    """Serve until SIGTERM. One process: another one is another instance."""
    os.environ.setdefault("INSTANCE_NAME", settings.instance)
    Granian(
        "remotegpu.server.serve:application",
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=1,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=30_000),
        backlog=4096,
        backpressure=CONNECTIONS,
        log_access=False,
        respawn_failed_workers=False,
        workers_kill_timeout=8,
    ).serve()
