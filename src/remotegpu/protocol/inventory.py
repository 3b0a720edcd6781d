"""What a machine is: facts that change rarely, sent when they change."""

import msgspec

from remotegpu.protocol.bounds import Amount, Index, Text


class GpuFacts(msgspec.Struct, kw_only=True, frozen=True):
    """One GPU. ``uuid`` is NVML's (``GPU-…``); simulated ones start with ``SIM-``."""

    index: Index
    uuid: Text
    model: Text
    memory_bytes: Amount
    simulated: bool = False
    vbios: Text | None = None
    pcie_generation: int | None = None
    pcie_width: int | None = None


class DiskFacts(msgspec.Struct, kw_only=True, frozen=True):
    mount: Text
    device: Text
    filesystem: Text
    total_bytes: Amount


class NicFacts(msgspec.Struct, kw_only=True, frozen=True):
    """``speed_mbit`` is None where the kernel does not know it (virtual devices)."""

    name: Text
    mac: Text
    addresses: list[Text]
    speed_mbit: int | None = None


class Inventory(msgspec.Struct, kw_only=True, frozen=True):
    """``isolation``: ``linux`` (one Linux account per customer) or ``directory`` (evaluation: same account)."""

    hostname: Text
    os: Text
    kernel: Text
    architecture: Text
    cpu_model: Text
    cpu_cores: Amount
    cpu_threads: Amount
    memory_bytes: Amount
    disks: list[DiskFacts]
    nics: list[NicFacts]
    gpus: list[GpuFacts]
    driver_version: Text | None = None
    cuda_version: Text | None = None
    ssh_host_key: Text = ""
    isolation: Text = "linux"


class GpuSample(msgspec.Struct, kw_only=True, frozen=True):
    """Live figures of one GPU; None where the device does not report a value (e.g. fan on H100).

    Utilisations are ratios 0–1, memory in bytes, temperature in °C, power in watts, clocks in hertz.
    """

    index: Index
    uuid: Text
    utilization_ratio: float | None = None
    memory_used_bytes: Amount | None = None
    memory_total_bytes: Amount | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    fan_ratio: float | None = None
    sm_clock_hz: int | None = None
    ecc_uncorrected: int | None = None
    remapped_rows_pending: bool | None = None
    remapped_rows_failed: bool | None = None
    last_xid: int | None = None
    processes: Amount | None = None


class HostSample(msgspec.Struct, kw_only=True, frozen=True):
    """Live figures of the host. ``taken_at`` is the agent's clock, seconds since the epoch."""

    taken_at: float
    cpu_ratio: float
    memory_used_bytes: Amount
    memory_total_bytes: Amount
    load_1m: float
    gpus: list[GpuSample] = []
