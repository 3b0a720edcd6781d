"""What a machine is: facts that change rarely, sent when they change."""

import msgspec


class GpuFacts(msgspec.Struct, kw_only=True, frozen=True):
    """One GPU. ``uuid`` is NVML's (``GPU-…``); simulated ones start with ``SIM-``."""

    index: int
    uuid: str
    model: str
    memory_bytes: int
    simulated: bool = False
    vbios: str | None = None
    pcie_generation: int | None = None
    pcie_width: int | None = None


class DiskFacts(msgspec.Struct, kw_only=True, frozen=True):
    mount: str
    device: str
    filesystem: str
    total_bytes: int


class NicFacts(msgspec.Struct, kw_only=True, frozen=True):
    """``speed_mbit`` is None where the kernel does not know it (virtual devices)."""

    name: str
    mac: str
    addresses: list[str]
    speed_mbit: int | None = None


class Inventory(msgspec.Struct, kw_only=True, frozen=True):
    """``isolation``: ``linux`` (one Linux account per customer) or ``directory`` (evaluation: same account)."""

    hostname: str
    os: str
    kernel: str
    architecture: str
    cpu_model: str
    cpu_cores: int
    cpu_threads: int
    memory_bytes: int
    disks: list[DiskFacts]
    nics: list[NicFacts]
    gpus: list[GpuFacts]
    driver_version: str | None = None
    cuda_version: str | None = None
    ssh_host_key: str = ""
    isolation: str = "linux"


class GpuSample(msgspec.Struct, kw_only=True, frozen=True):
    """Live figures of one GPU; None where the device does not report a value (e.g. fan on H100).

    Utilisations are ratios 0–1, memory in bytes, temperature in °C, power in watts, clocks in hertz.
    """

    index: int
    uuid: str
    utilization_ratio: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    fan_ratio: float | None = None
    sm_clock_hz: int | None = None
    ecc_uncorrected: int | None = None
    remapped_rows_pending: bool | None = None
    remapped_rows_failed: bool | None = None
    last_xid: int | None = None
    processes: int | None = None


class HostSample(msgspec.Struct, kw_only=True, frozen=True):
    """Live figures of the host. ``taken_at`` is the agent's clock, seconds since the epoch."""

    taken_at: float
    cpu_ratio: float
    memory_used_bytes: int
    memory_total_bytes: int
    load_1m: float
    gpus: list[GpuSample] = []
