"""Runs the application under uvicorn, which held the most polls in the least memory of the servers measured.

See ``docs/decisions/0002-uvicorn.md``.
"""

import uvicorn

from remotegpu.kit.memory import keep_freed_memory_low
from remotegpu.server.app import create_app
from remotegpu.server.core.logging import configure
from remotegpu.server.requests import observed
from remotegpu.server.settings import Settings

BACKLOG = 4096
"""Connections waiting to be accepted: a whole fleet comes back at once after a restart."""
SHUTDOWN_SECONDS = 3
"""Polls are cut off after this long; agents and consoles simply come back."""
MAX_FRAME_BYTES = 1024 * 1024
KEEP_ALIVE_SECONDS = 75


def run(settings: Settings) -> None:
    """Serve until SIGTERM. One process: another one is another instance."""
    keep_freed_memory_low()
    configure(settings.log_level, "server")
    uvicorn.run(
        observed(create_app(settings)),
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
