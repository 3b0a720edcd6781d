"""GPUs of the host: real ones through NVML, simulated ones only when asked for by name, or none."""

import socket
import time

from remotegpu.agent.gpus.adapter import GpuAdapter, GpuError
from remotegpu.agent.gpus.none import NoGpus
from remotegpu.agent.gpus.nvml import NvmlGpus, nvml_is_installed
from remotegpu.agent.gpus.simulated import SimulatedGpus

__all__ = ["GpuAdapter", "GpuError", "NoGpus", "NvmlGpus", "SimulatedGpus", "open_gpus"]


def open_gpus(simulate: int, *, seed: str | None = None) -> GpuAdapter:
    """The adapter for this host. ``simulate`` > 0 asks for that many simulated GPUs *instead of* real ones.

    ``seed`` fixes the simulated UUIDs (default: the host name). A host that has the NVML library but no working
    driver gets the real adapter, whose ``facts()`` raise :class:`GpuError` until the driver works.
    """
    if simulate < 0:
        raise ValueError(f"simulate is {simulate}, expected 0 (real GPUs) or the number of simulated ones")
    if simulate:
        return SimulatedGpus(simulate, seed=seed or socket.gethostname(), clock=time.time)
    return NvmlGpus() if nvml_is_installed() else NoGpus()
