"""Real NVIDIA GPUs, through NVML (the library behind ``nvidia-smi``)."""

import ctypes
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pynvml

from remotegpu.agent.gpus.adapter import GpuError
from remotegpu.agent.gpus.nvml_read import DriverLostError, GpuLostError, number, optional, text, translated
from remotegpu.agent.gpus.nvml_sample import lost_sample, read_sample
from remotegpu.agent.gpus.nvml_xid import XidWatch
from remotegpu.protocol.inventory import GpuFacts, GpuSample

T = TypeVar("T")


def nvml_is_installed() -> bool:
    """Whether ``libnvidia-ml.so.1`` can be loaded; says nothing about the driver behind it."""
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


class NvmlGpus:
    """Opens NVML on first use, and anew after the driver was lost (driver upgrade, module reload).

    Safe to call from several threads: NVML calls are made one at a time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._xids: XidWatch | None = None
        self._uuids: dict[int, str] = {}

    def facts(self) -> list[GpuFacts]:
        return self._read(lambda: [_facts(index, _handle(index)) for index in range(_count())])

    def samples(self) -> list[GpuSample]:
        return self._read(self._samples)

    def driver(self) -> tuple[str | None, str | None]:
        return self._read(lambda: (text(pynvml.nvmlSystemGetDriverVersion), _cuda_version()))

    def close(self) -> None:
        with self._lock:
            self._shut_down()

    def _read(self, action: Callable[[], T]) -> T:
        """Run ``action`` with NVML open. After a lost driver the next call starts from nothing."""
        with self._lock:
            self._open()
            try:
                return action()
            except DriverLostError:
                self._shut_down()
                raise

    def _open(self) -> None:
        if self._xids is not None:
            return
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise translated(error, "start") from error
        try:
            self._xids = XidWatch(_present_handles())
        except GpuError:
            pynvml.nvmlShutdown()
            raise

    def _shut_down(self) -> None:
        if self._xids is None:
            return
        watch, self._xids = self._xids, None
        try:
            watch.close()
            pynvml.nvmlShutdown()
        except (GpuError, pynvml.NVMLError):
            return  # the driver is gone already: nothing is left to give back

    def _samples(self) -> list[GpuSample]:
        xids = self._xids.drain() if self._xids is not None else {}
        return [self._sample(index, xids) for index in range(_count())]

    def _sample(self, index: int, xids: dict[str, int]) -> GpuSample:
        """One GPU's figures; a GPU that fell off the bus keeps its place under the UUID it had."""
        try:
            gpu = _handle(index)
            self._uuids[index] = _uuid(index, gpu)
            return read_sample(index, self._uuids[index], gpu, xids.get(self._uuids[index]))
        except GpuLostError:
            known = self._uuids.get(index, f"GPU-lost-{index}")
            return lost_sample(index, known, xids.get(known))


def _count() -> int:
    try:
        return int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError as error:
        raise translated(error, "count the GPUs") from error


def _handle(index: int) -> Any:  # Any: a ctypes pointer
    try:
        return pynvml.nvmlDeviceGetHandleByIndex(index)
    except pynvml.NVMLError as error:
        raise translated(error, f"open GPU {index}") from error


def _present_handles() -> list[Any]:  # Any: ctypes pointers
    handles: list[Any] = []
    for index in range(_count()):
        try:
            handles.append(_handle(index))
        except GpuLostError:
            continue  # reported by facts() and samples(); the others are still watched
    return handles


def _uuid(index: int, gpu: Any) -> str:  # Any: a ctypes pointer
    uuid = text(pynvml.nvmlDeviceGetUUID, gpu)
    if uuid is None:
        raise GpuError(
            f"NVML gives GPU {index} no UUID; a GPU without one cannot be leased. Update its driver"
        )
    return uuid


def _facts(index: int, gpu: Any) -> GpuFacts:  # Any: a ctypes pointer
    memory = optional(pynvml.nvmlDeviceGetMemoryInfo, gpu)
    return GpuFacts(
        index=index,
        uuid=_uuid(index, gpu),
        model=text(pynvml.nvmlDeviceGetName, gpu) or "unknown NVIDIA GPU",
        memory_bytes=int(memory.total) if memory is not None else 0,
        vbios=text(pynvml.nvmlDeviceGetVbiosVersion, gpu),
        # The link's maximum: the current one drops while the GPU idles, and facts must not flap.
        pcie_generation=number(pynvml.nvmlDeviceGetMaxPcieLinkGeneration, gpu, top=16),
        pcie_width=number(pynvml.nvmlDeviceGetMaxPcieLinkWidth, gpu, top=32),
    )


def _cuda_version() -> str | None:
    """NVML writes CUDA 12.4 as 12040."""
    raw = number(pynvml.nvmlSystemGetCudaDriverVersion_v2)
    return f"{raw // 1000}.{raw % 1000 // 10}" if raw else None
