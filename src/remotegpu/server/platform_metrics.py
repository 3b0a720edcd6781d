"""``/metrics`` of the worker. A thread answers Prometheus; the figures are read on the worker's own loop."""

import asyncio
from collections.abc import Iterator

import structlog
from prometheus_client import REGISTRY, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from remotegpu.kit.clock import utc_now
from remotegpu.protocol.metrics import PLATFORM
from remotegpu.server.core.services import Services
from remotegpu.server.domains.monitoring import figures

ANSWER_S = 8.0
"""Prometheus waits for ten seconds at most."""
UP = "remotegpu_database_up"

log = structlog.get_logger()


class Platform(Collector):
    """Looks when it is asked. Where the database does not answer, it says that and nothing else."""

    def __init__(self, services: Services, loop: asyncio.AbstractEventLoop) -> None:
        self._services = services
        self._loop = loop

    def describe(self) -> list[Metric]:
        """Nothing to look at yet: the registry need not ask for the figures."""
        return []

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(UP, "Whether the database answered just now.")
        reading = asyncio.run_coroutine_threadsafe(self._read(), self._loop)
        try:
            found = reading.result(ANSWER_S)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            reading.cancel()
            log.warning("no figures for Prometheus", error=str(error)[:300] or type(error).__name__)
            up.add_metric((), 0)
            yield up
            return
        up.add_metric((), 1)
        yield up
        yield from families(found)

    async def _read(self) -> list[figures.Figure]:
        async with self._services.sessions() as tx:
            return await figures.read(tx, utc_now())


def families(found: list[figures.Figure]) -> list[Metric]:
    """As the library wants them. Pure."""
    made = {
        name: GaugeMetricFamily(name, family.help, labels=family.labels) for name, family in PLATFORM.items()
    }
    for name, labels, value in found:
        made[name].add_metric(labels, value)
    return list(made.values())


def serve(services: Services, loop: asyncio.AbstractEventLoop) -> None:
    """From a thread of its own, on ``METRICS_PORT``; not at all where that is 0."""
    settings = services.settings
    if settings.metrics_port:
        REGISTRY.register(Platform(services, loop))
        start_http_server(settings.metrics_port, addr=settings.host)
        log.info("metrics served", host=settings.host, port=settings.metrics_port)
