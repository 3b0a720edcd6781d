"""Bodies of the monitoring routes."""

import msgspec


class MachineCounts(msgspec.Struct, kw_only=True):
    total: int
    online: int
    allocated: int
    reclaiming: int
    maintenance: int
    quarantined: int
    unreachable: int


class GpuCounts(msgspec.Struct, kw_only=True):
    """``busy``: more than 5 % utilised by the latest figures."""

    total: int
    leased: int
    busy: int


class TaskCounts(msgspec.Struct, kw_only=True):
    queued: int
    running: int
    succeeded_24h: int
    failed_24h: int


class AllocationCounts(msgspec.Struct, kw_only=True):
    active: int
    ending_7d: int


class SessionCounts(msgspec.Struct, kw_only=True):
    active: int


class Overview(msgspec.Struct, kw_only=True):
    """``simulated``: some GPUs shown are simulated."""

    machines: MachineCounts
    gpus: GpuCounts
    tasks: TaskCounts
    allocations: AllocationCounts
    sessions: SessionCounts
    simulated: bool


class Change(msgspec.Struct, kw_only=True):
    """Something the viewer may see has changed; fetch it again."""

    topic: str
    id: str
