"""Bodies of the task routes."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from remotegpu.protocol.attempts import TaskKind
from remotegpu.server.core.patterns import AT_END, NO_NUL, WITHOUT_NUL
from remotegpu.server.domains.auth.schemas import Name

TaskState = Literal[
    "queued", "assigned", "running", "succeeded", "failed", "timed_out", "stopped", "cancelled"
]
AttemptStateName = Literal["assigned", "running", "succeeded", "failed", "timed_out", "stopped", "lost"]
Command = Annotated[
    str, msgspec.Meta(min_length=1, max_length=262_144, pattern=WITHOUT_NUL, description=NO_NUL)
]
Argument = Annotated[str, msgspec.Meta(max_length=4096, pattern=WITHOUT_NUL, description=NO_NUL)]
Variable = Annotated[
    str,
    msgspec.Meta(
        max_length=128,
        pattern=rf"^[A-Za-z_][A-Za-z0-9_]*{AT_END}",
        description="a name of letters, digits and underscores, such as LEARNING_RATE",
    ),
]
Value = Annotated[str, msgspec.Meta(max_length=32_768, pattern=WITHOUT_NUL, description=NO_NUL)]
Directory = Annotated[
    str, msgspec.Meta(min_length=1, max_length=1024, pattern=WITHOUT_NUL, description=NO_NUL)
]


class TaskCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``command``: a shell line (``shell``), Python source (``python``), a text with its ``#!`` line (``script``)."""

    machine_id: uuid.UUID
    name: Name
    kind: TaskKind
    command: Command
    args: Annotated[list[Argument], msgspec.Meta(max_length=256)] = []
    env: Annotated[dict[Variable, Value], msgspec.Meta(max_length=256)] = {}
    workdir: Directory | None = None
    timeout_s: Annotated[int, msgspec.Meta(ge=1, le=30 * 86_400)] = 86_400
    priority: Annotated[int, msgspec.Meta(ge=1, le=10)] = 5
    max_retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 0
    gpus: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0


class ArtifactView(msgspec.Struct, kw_only=True):
    id: uuid.UUID
    path: str
    size_bytes: int
    sha256: str


class Artifacts(msgspec.Struct, kw_only=True):
    items: list[ArtifactView]


class ArtifactDownload(msgspec.Struct, kw_only=True):
    """``url`` is presigned for ten minutes; compare the bytes with ``sha256``."""

    url: str
    path: str
    size_bytes: int
    sha256: str


class TaskView(msgspec.Struct, kw_only=True):
    """``env_keys``: names only, values may be secrets. ``attempt``: number of the latest one, 0 before the first."""

    id: uuid.UUID
    name: str
    kind: TaskKind
    state: TaskState
    reason: str
    machine_id: uuid.UUID
    machine_name: str
    customer_id: uuid.UUID
    submitted_by: uuid.UUID
    submitted_by_name: str
    command: str
    args: list[str]
    env_keys: list[str]
    workdir: str | None
    timeout_s: int
    priority: int
    max_retries: int
    gpus: int
    attempt: int
    exit_code: int | None
    log_bytes: int
    log_truncated: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class AttemptView(msgspec.Struct, kw_only=True):
    id: uuid.UUID
    number: int
    state: AttemptStateName
    reason: str
    exit_code: int | None
    gpu_indices: list[int]
    started_at: datetime | None
    finished_at: datetime | None


class TaskDetail(TaskView, kw_only=True):
    attempts: list[AttemptView]
    artifacts: list[ArtifactView]
