"""Runs the application under uvicorn, which held the most polls in the least memory of the servers measured.

See ``docs/decisions/0002-uvicorn.md``.
"""

import asyncio
import socket

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from remotegpu.kit.memory import keep_freed_memory_low
from remotegpu.server.app import create_app
from remotegpu.server.core.logging import configure
from remotegpu.server.requests import Waiting, observed
from remotegpu.server.settings import Settings

BACKLOG = 4096
"""Connections waiting to be accepted: a whole fleet comes back at once after a restart."""
SHUTDOWN_SECONDS = 3
"""Requests at work have this long to finish; polls and event streams are cut off at once, and come back."""
MAX_FRAME_BYTES = 1024 * 1024
KEEP_ALIVE_SECONDS = 75


class Server(uvicorn.Server):
    """Does not wait for answers that wait themselves."""

    def __init__(self, config: uvicorn.Config, waiting: Waiting) -> None:
        super().__init__(config)
        self._waiting = waiting

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called once; closes the listening sockets before it first waits, so nobody comes back to this process."""
        asyncio.get_running_loop().call_soon(self._waiting.cut_off)
        await super().shutdown(sockets)


def run(settings: Settings) -> None:
    """Serve until SIGTERM. One process: another one is another instance. Ends with status 3 when it cannot start."""
    keep_freed_memory_low()
    configure(settings.log_level, "server")
    waiting = Waiting()
    config = uvicorn.Config(
        observed(create_app(settings), waiting),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=MAX_FRAME_BYTES,
        ws_per_message_deflate=False,
        lifespan="on",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=settings.trusted_proxies,
    )
    server = Server(config, waiting)
    server.run()
    if not server.started:
        raise SystemExit(STARTUP_FAILURE)
