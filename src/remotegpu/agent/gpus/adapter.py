"""The edge between the agent and whatever GPUs the host has."""

from typing import Protocol

from remotegpu.protocol.inventory import GpuFacts, GpuSample


class GpuError(Exception):
    """The driver or a GPU cannot be read now. The message names the reason; asking again later is right."""


class GpuAdapter(Protocol):
    """Reads GPUs. Calls may block for up to a second on a busy driver: make them from a thread."""

    def facts(self) -> list[GpuFacts]:
        """What does not change while the driver runs. Raises :class:`GpuError` when it cannot be read whole."""
        ...

    def samples(self) -> list[GpuSample]:
        """Live figures, one entry per GPU in index order. Raises :class:`GpuError` when the driver is gone.

        A single GPU that fell off the bus stays in the list, with every figure None.
        """
        ...

    def driver(self) -> tuple[str | None, str | None]:
        """Driver version and the newest CUDA version it supports, e.g. ``("550.54.15", "12.4")``."""
        ...

    def close(self) -> None:
        """Give the driver back. The adapter is not used afterwards."""
        ...
