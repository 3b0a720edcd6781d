"""The live figures of one GPU, converted from NVML's units to ours."""

from typing import Any

import pynvml

from remotegpu.agent.gpus.nvml_read import number, optional, plausible
from remotegpu.protocol.inventory import GpuSample


def read_sample(index: int, uuid: str, gpu: Any, last_xid: int | None) -> GpuSample:  # Any: a ctypes pointer
    """All figures the device gives. Raises ``GpuLostError`` or ``DriverLostError``."""
    used, total = _memory(gpu)
    pending, failed = _remapped_rows(gpu)
    return GpuSample(
        index=index,
        uuid=uuid,
        utilization_ratio=_utilization(gpu),
        memory_used_bytes=used,
        memory_total_bytes=total,
        temperature_celsius=_temperature(gpu),
        power_watts=_watts(number(pynvml.nvmlDeviceGetPowerUsage, gpu)),
        power_limit_watts=_watts(number(pynvml.nvmlDeviceGetEnforcedPowerLimit, gpu)),
        fan_ratio=_ratio(number(pynvml.nvmlDeviceGetFanSpeed, gpu, top=200)),
        sm_clock_hz=_sm_clock(gpu),
        ecc_uncorrected=_ecc_uncorrected(gpu),
        remapped_rows_pending=pending,
        remapped_rows_failed=failed,
        last_xid=last_xid,
        processes=_processes(gpu),
    )


def lost_sample(index: int, uuid: str, last_xid: int | None) -> GpuSample:
    """The place of a GPU that no longer answers: known by name, without figures."""
    return GpuSample(index=index, uuid=uuid, last_xid=last_xid)


def _ratio(percent: int | None) -> float | None:
    return None if percent is None else percent / 100


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000


def _utilization(gpu: Any) -> float | None:  # Any: a ctypes pointer
    rates = optional(pynvml.nvmlDeviceGetUtilizationRates, gpu)
    return None if rates is None else _ratio(plausible(int(rates.gpu), top=100))


def _temperature(gpu: Any) -> float | None:  # Any: a ctypes pointer
    celsius = number(pynvml.nvmlDeviceGetTemperature, gpu, pynvml.NVML_TEMPERATURE_GPU, top=200)
    return None if celsius is None else float(celsius)


def _sm_clock(gpu: Any) -> int | None:  # Any: a ctypes pointer
    megahertz = number(pynvml.nvmlDeviceGetClockInfo, gpu, pynvml.NVML_CLOCK_SM, top=100_000)
    return None if megahertz is None else megahertz * 1_000_000


def _memory(gpu: Any) -> tuple[int | None, int | None]:  # Any: a ctypes pointer
    """Used and total bytes. Version 2 does not count what the driver reserves as used; old drivers lack it."""
    memory = optional(pynvml.nvmlDeviceGetMemoryInfo, gpu, pynvml.nvmlMemory_v2)
    if memory is None:
        memory = optional(pynvml.nvmlDeviceGetMemoryInfo, gpu)
    if memory is None:
        return None, None
    total = plausible(int(memory.total))
    return plausible(int(memory.used), top=total or None), total or None


def _ecc_uncorrected(gpu: Any) -> int | None:  # Any: a ctypes pointer
    """Since the driver was loaded: the lifetime count would accuse a repaired GPU for ever."""
    kind, since = pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
    return number(pynvml.nvmlDeviceGetTotalEccErrors, gpu, kind, since)


def _remapped_rows(gpu: Any) -> tuple[bool | None, bool | None]:  # Any: a ctypes pointer
    rows = optional(pynvml.nvmlDeviceGetRemappedRows, gpu)
    return (None, None) if rows is None else (bool(rows[2]), bool(rows[3]))


def _processes(gpu: Any) -> int | None:  # Any: a ctypes pointer
    """Distinct processes with a context on the GPU, computing or drawing."""
    found = [
        optional(pynvml.nvmlDeviceGetComputeRunningProcesses, gpu),
        optional(pynvml.nvmlDeviceGetGraphicsRunningProcesses, gpu),
    ]
    known = [processes for processes in found if processes is not None]
    if not known:
        return None
    return len({process.pid for processes in known for process in processes})
