"""Only PostgreSQL, Valkey and S3, without a supervisor: what tests and benchmarks run against.

``with Services(directory) as services: services.environment(...)``. Not durable unless asked: a killed test loses its
throw-away data and nothing else.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from remotegpu.local import leftovers, logs, objects, processes, roles, shutdown
from remotegpu.local.errors import ServiceFailedError
from remotegpu.local.layout import Layout
from remotegpu.local.plan import Options, ServiceSpec, Site, data_services, server_environment
from remotegpu.local.postgres import DATABASE
from remotegpu.local.prepare import Tuning, claim, prepare
from remotegpu.local.processes import Child

_FILE_SUFFIX = "_FILE"
TEST_TUNING = Tuning(durable=False, valkey_databases=1024, max_connections=300)


class Services:
    """The three data services of one directory. Start and stop in the same thread: they die with it."""

    def __init__(self, directory: Path, tuning: Tuning = TEST_TUNING) -> None:
        self.layout = Layout(directory.resolve())
        self._tuning = tuning
        self._children: list[Child] = []
        self._site: Site | None = None

    def start(self, database: str = DATABASE) -> None:
        """Start all three at once, wait until they answer, and make roles and ``database``.

        Raises a :class:`~remotegpu.local.errors.LocalError`; nothing is left running then.
        """
        if self.layout.processes.exists():
            leftovers.take_down(self.layout)
        site = prepare(claim(self.layout), Options(), self._tuning)
        self._site = site
        specs = data_services(site, os.environ)
        try:
            for spec in specs:
                log = self.layout.log(spec.name)
                self._children.append(processes.spawn(spec, log, self.layout.process(spec.name)))
            self._await(specs)
            roles.create(site.ports["postgres"], site.secrets, database)
        except BaseException:
            self.stop()
            raise

    def _await(self, specs: list[ServiceSpec]) -> None:
        began = time.monotonic()
        waiting = {spec.name: spec for spec in specs}
        while waiting:
            for child in self._children:
                spec = child.spec
                overdue = time.monotonic() - began > spec.start_timeout_s
                if child.exit_code() is not None or overdue:
                    raise ServiceFailedError(
                        f"{spec.name} did not start:\n{logs.excerpt(self.layout.log(spec.name))}"
                    )
                if spec.name in waiting and spec.probe and spec.probe.is_ready():
                    del waiting[spec.name]
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop whatever runs. Repeatable."""
        shutdown.stop(self._children, lambda _event: None)
        self._children.clear()
        if self._site:
            for path in objects.grpc_sockets(self._site.ports):
                path.unlink(missing_ok=True)

    @property
    def site(self) -> Site:
        """Ports, secrets and paths. Only after :meth:`start`."""
        if self._site is None:
            raise RuntimeError("Services.site was read before start(); call start() first")
        return self._site

    def environment(self) -> dict[str, str]:
        """The server's variables with secrets in place, ready for ``settings.load`` or a child process."""
        return inline_secrets(server_environment(self.site.secrets, self.site.ports, self.site.options))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def inline_secrets(variables: Mapping[str, str]) -> dict[str, str]:
    """Each ``NAME_FILE`` replaced by ``NAME`` with the file's content."""
    result: dict[str, str] = {}
    for name, value in variables.items():
        if name.endswith(_FILE_SUFFIX):
            result[name.removesuffix(_FILE_SUFFIX)] = Path(value).read_text(encoding="utf-8").strip()
        else:
            result[name] = value
    return result
