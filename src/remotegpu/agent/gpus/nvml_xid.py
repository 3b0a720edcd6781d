"""The last Xid error of each GPU, from NVML's event set.

Xids are what the driver prints to the kernel log when a GPU misbehaves; an event set delivers them without
reading that log, which an agent in a container could not.
"""

from typing import Any

import pynvml

from remotegpu.agent.gpus.nvml_read import error_code, optional, text

_MOST_EVENTS_PER_READ = 64
"""A GPU in trouble can emit Xids faster than we drain them: bound one read, the rest comes with the next."""


class XidWatch:
    """Collects Xids since it was opened. Where the driver offers no events, it stays empty."""

    def __init__(self, gpu_handles: list[Any]) -> None:  # Any: NVML handles are ctypes pointers
        self._last: dict[str, int] = {}
        self._events: Any = optional(pynvml.nvmlEventSetCreate)  # Any: opaque ctypes handle
        for gpu in gpu_handles:
            if self._events is not None:
                kind = pynvml.nvmlEventTypeXidCriticalError
                optional(pynvml.nvmlDeviceRegisterEvents, gpu, kind, self._events)

    def drain(self) -> dict[str, int]:
        """UUID → last Xid, after taking in all waiting events without blocking."""
        for _ in range(_MOST_EVENTS_PER_READ if self._events is not None else 0):
            try:
                event = pynvml.nvmlEventSetWait_v2(self._events, 0)
            except pynvml.NVMLError as error:
                if error_code(error) == pynvml.NVML_ERROR_GPU_IS_LOST:
                    continue  # one GPU fell off the bus: its figures say so, other GPUs' events still matter
                break  # NVML_ERROR_TIMEOUT is the normal end; anything else shows in the samples
            gpu_uuid = text(pynvml.nvmlDeviceGetUUID, event.device)
            if gpu_uuid is not None:
                self._last[gpu_uuid] = int(event.eventData)
        return self._last

    def close(self) -> None:
        if self._events is not None:
            optional(pynvml.nvmlEventSetFree, self._events)
            self._events = None
