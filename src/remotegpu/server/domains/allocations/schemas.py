"""Bodies of the allocation routes."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from remotegpu.server.core.patterns import NO_NUL, WITHOUT_NUL

AllocationState = Literal["scheduled", "active", "expiring", "reclaiming", "ended", "cancelled"]
StepStatus = Literal["pending", "running", "done", "failed"]
Text = Annotated[str, msgspec.Meta(max_length=500, pattern=WITHOUT_NUL, description=NO_NUL)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class AllocationCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``starts_at`` defaults to now. Times need a time zone, such as ``2026-11-24T06:30:00Z``."""

    machine_id: uuid.UUID
    customer_id: uuid.UUID
    ends_at: Moment
    starts_at: Moment | None = None
    note: Text = ""


class AllocationExtend(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    ends_at: Moment


class AllocationEnd(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    reason: Text = ""


class StepView(msgspec.Struct, kw_only=True):
    name: str
    status: StepStatus
    detail: str
    started_at: datetime | None
    finished_at: datetime | None


class AllocationView(msgspec.Struct, kw_only=True):
    id: uuid.UUID
    machine_id: uuid.UUID
    machine_name: str
    customer_id: uuid.UUID
    customer_name: str
    state: AllocationState
    account: str
    starts_at: datetime
    ends_at: datetime
    ended_at: datetime | None
    end_reason: str
    note: str
    created_at: datetime
    steps: list[StepView]
