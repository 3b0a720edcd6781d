"""The demo as a whole: platform up, the journey, the console left running, platform down."""

import asyncio
import os
import signal
import time
from pathlib import Path

from remotegpu.agent.gpus import GpuError, open_gpus
from remotegpu.local.demo.journey import Journey
from remotegpu.local.demo.report import Report, StepFailedError
from remotegpu.local.errors import LocalError
from remotegpu.local.events import Event
from remotegpu.local.platform import Platform
from remotegpu.local.running import Asked, require_same

SIMULATED_GPUS = 2
PORT_ADVICE = "remotegpu demo --port {port}, or make demo PORT={port}"


class Show:
    """One run of the demo. ``close`` stops the platform only if this run started it."""

    def __init__(self, data_dir: Path | None, port: int | None) -> None:
        self.report = Report()
        self._simulated = 0 if has_real_gpus() else SIMULATED_GPUS
        self._asked = Asked(port=port)
        self._platform = Platform(
            data_dir,
            port=self._asked.options.port,
            simulate_gpus=self._simulated,
            port_advice=PORT_ADVICE,
        )
        self._started = False
        self._began = time.monotonic()

    def check(self) -> None:
        """Raises :class:`~remotegpu.local.errors.LocalError` when data directory or running platform will not do."""
        running = self._platform.running()
        if running:
            require_same(self._asked, running, self._platform.layout.root)

    def perform(self) -> bool:
        """Whether every step passed. Raises :class:`~remotegpu.local.errors.LocalError` when it cannot start."""
        self._introduce()
        try:
            url, password = self._start()
            asyncio.run(Journey(url, self._platform.admin_email, password, self.report).run())
        except StepFailedError as error:
            if isinstance(error.__cause__, LocalError):
                raise error.__cause__ from None
            self.report.say(f"\nThe step above failed. The logs are in {self._platform.layout.logs}")
            return False
        seconds = time.monotonic() - self._began
        self.report.say(f"\nEvery step passed: {len(self.report.steps)} steps in {seconds:.1f} s.")
        return True

    def save(self, path: Path) -> None:
        self.report.save(
            path, url=self._url, simulated_gpus=self._simulated, data_dir=str(self._platform.layout.root)
        )

    def stay(self) -> None:
        """Prints the sign-in and waits for Ctrl-C."""
        self.report.say(f"\nThe console: {self._url}")
        self.report.say(f"  sign in as {self._platform.admin_email}")
        self.report.say(f"  password   {self._platform.admin_password()}")
        self.report.say(
            "Ctrl-C stops it; `make demo` or `remotegpu up` starts it again with everything kept."
        )
        try:
            signal.pause()
        except KeyboardInterrupt:
            self.report.say("")

    def close(self) -> None:
        if self._started:
            self._platform.stop(lambda _event: None)

    @property
    def _url(self) -> str:
        state = self._platform.state()
        return state.url if state else self._platform.url

    def _introduce(self) -> None:
        self.report.say("RemoteGPU demo: from an empty platform to a leased GPU machine at work\n")
        if self._simulated:
            self.report.say(
                f"No NVIDIA GPU here: the demo asks for {self._simulated} simulated ones, labelled so.\n"
            )

    def _start(self) -> tuple[str, str]:
        """URL and the administrator's password. Starts the platform unless it runs already."""
        running = self._platform.state()
        was_up = running is not None and running.is_supervised
        with self.report.step("platform is up") as step:
            self._started = not was_up
            state = self._platform.start(self._tell)
            parts = ", ".join(service.name for service in state.services if not service.step)
            step.detail = f"{parts}{' (it ran already)' if was_up else ''}"
        password = self._platform.admin_password()
        if password is None:
            raise LocalError(
                f"The administrator's password in {self._platform.layout.root} was changed, expected the first one.\n"
                "Do next: run the demo with a data directory of its own: make demo DATA_DIR=/path"
            )
        return self._url, password

    def _tell(self, event: Event) -> None:
        self.report.note(f"{event.service} {event.what}")


def has_real_gpus() -> bool:
    """Whether NVML answers and finds any; a driver that is broken shows later, as the agent's own report."""
    try:
        return bool(open_gpus(0).facts())
    except GpuError:
        return os.path.exists("/dev/nvidiactl")  # noqa: PTH110 - a device node, not a path we work with
