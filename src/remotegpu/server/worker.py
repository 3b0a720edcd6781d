"""The worker: runs the sweeps until it is told to stop. Any number of workers may run; the work is idempotent."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from remotegpu.kit.memory import keep_freed_memory_low
from remotegpu.server import platform_metrics, sweeps
from remotegpu.server.core.errors import RemoteGPUError
from remotegpu.server.core.logging import configure
from remotegpu.server.core.services import Services, open_services
from remotegpu.server.settings import Settings
from remotegpu.server.signals import connect_signals

log = structlog.get_logger()


def show_life() -> None:
    """Touch the file named by ``ALIVE_FILE``, whose age tells a container's health check that sweeps still begin."""
    if path := os.environ.get("ALIVE_FILE"):
        Path(path).touch()


async def repeat(services: Services, sweep: sweeps.Sweep) -> None:
    """Run one sweep for ever. A failure is logged and tried again at the next turn."""
    while True:
        show_life()
        try:
            await sweep.run(services)
        except (SQLAlchemyError, RedisError, RemoteGPUError, OSError) as error:
            log.warning("sweep failed, trying again", sweep=sweep.name, error=str(error)[:300])
        await asyncio.sleep(sweep.every_seconds)


async def work(services: Services) -> None:
    """All sweeps side by side until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    services.hub.start()
    platform_metrics.serve(services, loop)
    running = [asyncio.create_task(repeat(services, sweep), name=sweep.name) for sweep in sweeps.all_sweeps()]
    stopped = asyncio.create_task(stopping.wait())
    log.info("worker started", sweeps=len(running))
    await asyncio.wait({stopped, *running}, return_when=asyncio.FIRST_COMPLETED)
    for task in running:
        task.cancel()
    results = await asyncio.gather(*running, return_exceptions=True)
    await services.close()
    for result in results:
        if isinstance(result, Exception):
            raise result


def run(settings: Settings) -> None:
    """Entry of ``remotegpu server worker``."""
    keep_freed_memory_low()
    configure(settings.log_level, "worker")
    connect_signals()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(work(open_services(settings)))
