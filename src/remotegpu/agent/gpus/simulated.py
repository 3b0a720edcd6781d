"""Simulated GPUs, for evaluation on machines without any. Only ever used when asked for by name.

The figures follow the clock and the seed and nothing else, so that a test or a demo can be repeated exactly.
"""

import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from remotegpu.protocol.inventory import GpuFacts, GpuSample

MODEL = "Simulated H100 80GB"
MEMORY_BYTES = 80 * 1024**3
POWER_LIMIT_WATTS = 700.0
_IDLE_WATTS = 70.0
_NAMESPACE = uuid.UUID("6f3f4a55-3a8e-5f0e-9a0e-1c0c6c7c1f5e")


@dataclass(frozen=True, slots=True)
class _Rhythm:
    """How busy one GPU is over time: two slow waves whose periods and phases come from the seed."""

    period_s: float
    phase: float

    def load(self, at: float) -> float:
        """Utilisation 0–1 at the epoch second ``at``."""
        slow = math.sin(2 * math.pi * at / self.period_s + self.phase)
        fast = math.sin(2 * math.pi * at / 17.0 + 2 * self.phase)
        return min(1.0, max(0.0, 0.55 + 0.4 * slow + 0.08 * fast))


class SimulatedGpus:
    """``count`` GPUs. ``seed`` is usually the host name: it fixes UUIDs and rhythms. ``clock``: epoch seconds."""

    def __init__(self, count: int, *, seed: str, clock: Callable[[], float]) -> None:
        if not 1 <= count <= 64:
            raise ValueError(f"simulated GPUs: found {count}, expected 1 to 64")
        self._clock = clock
        self._ids = [uuid.uuid5(_NAMESPACE, f"{seed}/{index}") for index in range(count)]

    def facts(self) -> list[GpuFacts]:
        return [
            GpuFacts(
                index=index,
                uuid=f"SIM-{gpu_id}",
                model=MODEL,
                memory_bytes=MEMORY_BYTES,
                simulated=True,
                pcie_generation=5,
                pcie_width=16,
            )
            for index, gpu_id in enumerate(self._ids)
        ]

    def samples(self) -> list[GpuSample]:
        at = self._clock()
        return [_sample(index, gpu_id, at) for index, gpu_id in enumerate(self._ids)]

    def driver(self) -> tuple[str | None, str | None]:
        return None, None

    def close(self) -> None:
        """Nothing was opened."""


def _sample(index: int, gpu_id: uuid.UUID, at: float) -> GpuSample:
    rhythm = _Rhythm(period_s=90.0 + gpu_id.int % 120, phase=(gpu_id.int >> 16) % 628 / 100)
    load = rhythm.load(at)
    # Memory is held in steps by a job, heat lags behind load: both as one sees on real cards.
    held = round(rhythm.load(at - at % 30.0) * 8) / 8
    return GpuSample(
        index=index,
        uuid=f"SIM-{gpu_id}",
        utilization_ratio=round(load, 2),
        memory_used_bytes=int(MEMORY_BYTES * (0.01 + 0.9 * held)),
        memory_total_bytes=MEMORY_BYTES,
        temperature_celsius=float(round(31 + 42 * rhythm.load(at - 8.0))),
        power_watts=round(_IDLE_WATTS + (POWER_LIMIT_WATTS - _IDLE_WATTS) * load * 0.95, 1),
        power_limit_watts=POWER_LIMIT_WATTS,
        fan_ratio=None,  # like the H100 it stands for: cooled by the chassis
        sm_clock_hz=int((345 + 1635 * min(1.0, load * 1.4)) * 1_000_000),
        ecc_uncorrected=0,
        remapped_rows_pending=False,
        remapped_rows_failed=False,
        processes=0,  # none can hold a device that does not exist; the check after a lease goes by this figure
    )
