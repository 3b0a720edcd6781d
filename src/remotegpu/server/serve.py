"""Runs the application under granian."""

import os

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from litestar import Litestar

from remotegpu.server import settings as server_settings
from remotegpu.server.app import create_app
from remotegpu.server.core.logging import configure
from remotegpu.server.settings import Settings

CONNECTIONS = 20_000
"""Polls held at once: every agent keeps one open, so the usual limits of web servers do not fit."""


def application() -> Litestar:
    """Factory that granian calls in its worker process."""
    settings = server_settings.load()
    configure(settings.log_level, "server")
    return create_app(settings)


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
        log_enabled=True,
        respawn_failed_workers=False,
        workers_kill_timeout=8,
        process_name="remotegpu-server",
    ).serve()
