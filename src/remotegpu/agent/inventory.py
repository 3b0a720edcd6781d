"""What this host is (inventory) and how it is doing (sample), from psutil, ``/proc`` and the GPU adapter."""

import hashlib
import os
import platform
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil
import structlog

from remotegpu.agent.gpus import GpuAdapter, GpuError
from remotegpu.protocol.inventory import DiskFacts, GpuSample, HostSample, Inventory, NicFacts

_LOG = structlog.get_logger(__name__)
_PSEUDO_FILESYSTEMS = {"squashfs", "overlay", "tmpfs", "devtmpfs", "iso9660", "fuse.snapfuse"}
_VIRTUAL_NICS = (
    "lo",
    "docker",
    "br-",
    "veth",
    "virbr",
    "vnet",
    "cni",
    "flannel",
    "cali",
    "tun",
    "tap",
    "wg",
    "dummy",
)


def collect(gpus: GpuAdapter, *, ssh_host_key: str, isolation: str) -> Inventory:
    """The host's facts. Blocks for some milliseconds. Raises :class:`GpuError` while the GPUs cannot be read."""
    driver_version, cuda_version = gpus.driver()
    return Inventory(
        hostname=socket.gethostname(),
        os=_os_name(),
        kernel=platform.release(),
        architecture=platform.machine(),
        cpu_model=_cpu_model(Path("/proc/cpuinfo")),
        cpu_cores=psutil.cpu_count(logical=False) or psutil.cpu_count() or 1,
        cpu_threads=psutil.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        disks=_disks(),
        nics=_nics(),
        gpus=gpus.facts(),
        driver_version=driver_version,
        cuda_version=cuda_version,
        ssh_host_key=ssh_host_key,
        isolation=isolation,
    )


def inventory_hash(inventory: Inventory) -> str:
    """SHA-256 in hex over the inventory's own wire form: equal facts have equal hashes, in any process."""
    return hashlib.sha256(msgspec.json.encode(inventory, order="deterministic")).hexdigest()


def sample(gpus: GpuAdapter, clock: Callable[[], float]) -> HostSample:
    """Live figures; ``cpu_ratio`` covers the time since the last call. Unreadable GPUs are logged and left out."""
    memory = psutil.virtual_memory()
    return HostSample(
        taken_at=clock(),
        cpu_ratio=min(1.0, psutil.cpu_percent(interval=None) / 100),
        memory_used_bytes=memory.total - memory.available,
        memory_total_bytes=memory.total,
        load_1m=round(os.getloadavg()[0], 2),
        gpus=_gpu_samples(gpus),
    )


def _gpu_samples(gpus: GpuAdapter) -> list[GpuSample]:
    try:
        return gpus.samples()
    except GpuError as error:
        _LOG.warning("gpu_sample_failed", reason=str(error))
        return []


def _os_name() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return platform.system()
    return release.get("PRETTY_NAME") or release.get("NAME") or platform.system()


def _cpu_model(cpuinfo: Path) -> str:
    """x86 says ``model name``; Arm has no name there, so the architecture has to do."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model"} and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


def _disks() -> list[DiskFacts]:
    """Block devices, each once, at its shortest mount point (bind mounts and containers repeat them)."""
    found: dict[str, DiskFacts] = {}
    for part in sorted(psutil.disk_partitions(all=False), key=lambda part: len(part.mountpoint)):
        if (
            _is_real_disk(part.device, part.fstype)
            and part.device not in found
            and Path(part.mountpoint).is_dir()
        ):
            found[part.device] = DiskFacts(
                mount=part.mountpoint,
                device=part.device,
                filesystem=part.fstype,
                total_bytes=psutil.disk_usage(part.mountpoint).total,
            )
    return sorted(found.values(), key=lambda disk: disk.mount)


def _is_real_disk(device: str, filesystem: str) -> bool:
    return (
        device.startswith("/dev/")
        and not device.startswith(("/dev/loop", "/dev/ram", "/dev/zram"))
        and filesystem not in _PSEUDO_FILESYSTEMS
    )


def _nics() -> list[NicFacts]:
    """Network cards; in a container or a guest without any, the interfaces that carry its traffic."""
    addresses, stats = psutil.net_if_addrs(), psutil.net_if_stats()
    names = [name for name in addresses if Path("/sys/class/net", name, "device").exists()]
    if not names:
        up = (name for name in addresses if name in stats and stats[name].isup)
        names = [name for name in up if not name.startswith(_VIRTUAL_NICS)]
    return [_nic(name, addresses[name], stats.get(name)) for name in sorted(names)]


def _nic(name: str, addresses: list[Any], stats: Any) -> NicFacts:  # Any: psutil's tuple types are private
    mac = next((entry.address for entry in addresses if entry.family == psutil.AF_LINK), "")
    spoken = {socket.AF_INET, socket.AF_INET6}
    ips = [str(entry.address).partition("%")[0] for entry in addresses if entry.family in spoken]
    speed = int(stats.speed) if stats is not None else 0
    return NicFacts(
        name=name,
        mac=mac,
        # Link-local addresses come and go with the cable and identify nothing.
        addresses=sorted(ip for ip in ips if not ip.lower().startswith("fe80:")),
        # The kernel says 0 or 65535 (unsigned -1) where there is no link speed.
        speed_mbit=speed if 0 < speed < 2**16 - 1 else None,
    )
