"""Reading one value from NVML: unsupported becomes None, sentinels are filtered, a lost driver is an error."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import pynvml

from remotegpu.agent.gpus.adapter import GpuError

T = TypeVar("T")

_DRIVER_GONE = {
    pynvml.NVML_ERROR_UNINITIALIZED,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND,
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
}
_GPU_GONE = {
    pynvml.NVML_ERROR_GPU_IS_LOST,
    pynvml.NVML_ERROR_RESET_REQUIRED,
    pynvml.NVML_ERROR_GPU_NOT_FOUND,
}
# NVML writes "not available" as all bits set in the width of the field (nvml.h, NVML_VALUE_NOT_AVAILABLE).
_SENTINELS = {0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, -1}


class DriverLostError(GpuError):
    """NVML as a whole no longer answers; it must be initialised anew."""


class GpuLostError(GpuError):
    """One GPU fell off the bus or needs a reset; the others still answer."""


def translated(error: pynvml.NVMLError, doing: str) -> GpuError:
    """The typed error for an NVML error that is not simply "this value is not supported"."""
    code = error_code(error)
    message = (
        f"NVML cannot {doing}: {error} (code {code}); run nvidia-smi on the host to see the driver's view"
    )
    if code in _GPU_GONE:
        return GpuLostError(message)
    return DriverLostError(message)


def error_code(error: pynvml.NVMLError) -> int:
    """NVML's return code; the library sets it as ``value`` outside the constructor."""
    return cast("int", error.value)  # pyright: ignore[reportAttributeAccessIssue]


def optional(call: Callable[..., T], *args: Any) -> T | None:  # Any: NVML handles are ctypes pointers
    """``call(*args)``, or None when this device, driver or permission does not give the value.

    Raises :class:`DriverLostError` or :class:`GpuLostError` when the answer says so.
    """
    try:
        return call(*args)
    except pynvml.NVMLError as error:
        if error_code(error) in _DRIVER_GONE | _GPU_GONE:
            raise translated(error, f"call {getattr(call, '__name__', 'NVML')}") from error
        return None
    except UnicodeDecodeError:
        return None


def number(call: Callable[..., int], *args: Any, top: int | None = None) -> int | None:
    """A whole number without NVML's sentinels. Values below 0 or above ``top`` are implausible: None."""
    value = optional(call, *args)
    return None if value is None else plausible(value, top=top)


def plausible(value: int, *, top: int | None = None) -> int | None:
    if value in _SENTINELS or value < 0 or (top is not None and value > top):
        return None
    return value


def text(call: Callable[..., str | bytes], *args: Any) -> str | None:
    """A string value; older library versions answer bytes. Empty and ``N/A`` are None."""
    value = optional(call, *args)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return None if value is None or value.strip() in {"", "N/A", "[N/A]"} else value.strip()
