"""Tasks, their attempts, and what the attempts left behind."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from remotegpu.server.core.database import Base


class Task(Base):
    """Work a customer wants done on a machine. ``not_before`` delays a retry; ``attempt`` counts attempts made."""

    __tablename__ = "tasks"
    __table_args__ = (
        Index(
            "ix_tasks_queue",
            "machine_id",
            "priority",
            "queued_at",
            postgresql_where=text("state = 'queued'"),
        ),
        Index("ix_tasks_customer_state", "customer_id", "state"),
        Index("ix_tasks_state_finished", "state", "finished_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str] = mapped_column(default="")
    machine_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("machines.id"), index=True)
    allocation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("allocations.id"), index=True)
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("customers.id"))
    submitted_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    command: Mapped[str]
    args: Mapped[list[str]]
    env: Mapped[dict[str, str]]
    workdir: Mapped[str | None]
    timeout_s: Mapped[int]
    priority: Mapped[int]
    max_retries: Mapped[int]
    gpus: Mapped[int]
    attempt: Mapped[int] = mapped_column(default=0)
    exit_code: Mapped[int | None]
    created_at: Mapped[datetime]
    queued_at: Mapped[datetime]
    not_before: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Attempt(Base):
    """One run of a task. ``log_stored``: bytes of its log in the object store; the rest is buffered in Redis."""

    __tablename__ = "attempts"
    __table_args__ = (
        UniqueConstraint("task_id", "number"),
        Index(
            "uq_attempts_one_open",
            "task_id",
            unique=True,
            postgresql_where=text("state IN ('assigned', 'running')"),
        ),
        Index("ix_attempts_machine_state", "machine_id", "state"),
        Index(
            "ix_attempts_lease", "lease_expires_at", postgresql_where=text("state IN ('assigned', 'running')")
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tasks.id"))
    number: Mapped[int]
    machine_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("machines.id"))
    state: Mapped[str]
    reason: Mapped[str] = mapped_column(default="")
    gpu_indices: Mapped[list[int]]
    lease_expires_at: Mapped[datetime]
    stop_requested: Mapped[bool] = mapped_column(default=False)
    exit_code: Mapped[int | None]
    assigned_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    log_stored: Mapped[int] = mapped_column(default=0)
    log_final: Mapped[bool] = mapped_column(default=False)
    log_truncated: Mapped[bool] = mapped_column(default=False)


class Artifact(Base):
    """A file an attempt left in its output directory; listed once its attempt has ended."""

    __tablename__ = "artifacts"
    __table_args__ = (UniqueConstraint("attempt_id", "path"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tasks.id"), index=True)
    attempt_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("attempts.id"))
    path: Mapped[str]
    size_bytes: Mapped[int]
    sha256: Mapped[str]
    object_key: Mapped[str]
    created_at: Mapped[datetime]
