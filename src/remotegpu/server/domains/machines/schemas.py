"""Bodies of the machine routes."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from remotegpu.protocol.inventory import HostSample, Inventory
from remotegpu.server.core.patterns import AT_END
from remotegpu.server.domains.auth.schemas import Name

MachineState = Literal["enrolling", "online", "allocated", "reclaiming", "maintenance", "quarantined"]
MachineName = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=63,
        pattern=rf"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?{AT_END}",
        description="1 to 63 letters, digits, dots, dashes or underscores",
    ),
]


class JoinTokenCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name
    max_uses: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    expires_in_hours: Annotated[int, msgspec.Meta(ge=1, le=720)] = 24


class JoinTokenView(msgspec.Struct, kw_only=True):
    id: uuid.UUID
    name: str
    max_uses: int
    uses: int
    expires_at: datetime
    revoked_at: datetime | None
    created_at: datetime


class JoinTokenCreated(JoinTokenView, kw_only=True):
    """``token`` and the ready ``command`` are shown this once."""

    token: str
    command: str


class Holder(msgspec.Struct, kw_only=True):
    """The allocation that holds a machine now."""

    id: uuid.UUID
    customer_id: uuid.UUID
    customer_name: str
    ends_at: datetime
    state: str


class MachineView(msgspec.Struct, kw_only=True):
    """``sample``: the latest live figures, None when there are none of the last minutes."""

    id: uuid.UUID
    name: str
    state: MachineState
    maintenance: bool
    reachable: bool
    reachability_since: datetime | None
    last_seen_at: datetime | None
    region: str
    simulated: bool
    isolation: str
    gpu_count: int
    gpu_model: str
    gpu_memory_bytes: int
    cpu_threads: int
    memory_bytes: int
    os: str
    driver_version: str
    agent_version: str
    protocol_version: str
    clock_skew_s: float | None
    created_at: datetime
    allocation: Holder | None
    sample: HostSample | None


class MachineDetail(MachineView, kw_only=True):
    inventory: Inventory | None
    revision: int
    applied_revision: int


class MachineChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    maintenance: bool | None = None
    region: Annotated[str, msgspec.Meta(max_length=63, pattern=rf"^[A-Za-z0-9._-]*{AT_END}")] | None = None
    name: MachineName | None = None


class Samples(msgspec.Struct, kw_only=True):
    """Oldest first, at most one hour."""

    items: list[HostSample]
