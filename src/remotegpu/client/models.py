"""Replies of the API, as far as the command line and the demo read them. Unknown fields are ignored."""

import msgspec


class User(msgspec.Struct, kw_only=True):
    id: str
    email: str
    display_name: str = ""
    role: str = ""
    customer_id: str | None = None
    customer_name: str | None = None
    must_change_password: bool = False


class SignIn(msgspec.Struct, kw_only=True):
    """``refresh_token`` comes in the body because the client asks for it there. ``expires_in`` in seconds."""

    access_token: str
    expires_in: int
    user: User
    must_change_password: bool = False
    refresh_token: str | None = None


class Lease(msgspec.Struct, kw_only=True):
    """The allocation a machine is under, as its row shows it."""

    id: str
    customer_name: str = ""
    ends_at: str = ""
    state: str = ""


class GpuLive(msgspec.Struct, kw_only=True):
    index: int
    utilization_ratio: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    temperature_celsius: float | None = None


class HostLive(msgspec.Struct, kw_only=True):
    gpus: list[GpuLive] = []


class Machine(msgspec.Struct, kw_only=True):
    id: str
    name: str
    state: str
    reachable: bool = False
    simulated: bool = False
    isolation: str = ""
    gpu_count: int = 0
    gpu_model: str | None = None
    gpu_memory_bytes: int | None = None
    cpu_threads: int | None = None
    memory_bytes: int | None = None
    os: str | None = None
    allocation: Lease | None = None
    sample: HostLive | None = None


class Artifact(msgspec.Struct, kw_only=True):
    id: str
    path: str
    size_bytes: int
    sha256: str


class Download(msgspec.Struct, kw_only=True):
    """``url`` works without a sign-in for ten minutes."""

    url: str
    sha256: str
    size_bytes: int
    path: str


class Task(msgspec.Struct, kw_only=True):
    id: str
    name: str
    kind: str
    state: str
    reason: str | None = None
    machine_id: str = ""
    machine_name: str | None = None
    command: str = ""
    submitted_by_name: str | None = None
    attempt: int | None = None
    exit_code: int | None = None
    gpus: int = 0
    log_bytes: int = 0
    log_truncated: bool = False
    created_at: str = ""
    started_at: str | None = None
    finished_at: str | None = None
    artifacts: list[Artifact] = []


class SshCertificate(msgspec.Struct, kw_only=True):
    """``certificate`` and ``host_key`` are OpenSSH lines; ``account`` the user name on the machine."""

    certificate: str
    account: str
    host_key: str
    expires_at: str


class Customer(msgspec.Struct, kw_only=True):
    id: str
    company_code: str
    name: str


class NewMember(msgspec.Struct, kw_only=True):
    """``initial_password`` is shown this once."""

    id: str
    email: str
    role: str
    initial_password: str


class AllocationStep(msgspec.Struct, kw_only=True):
    name: str
    status: str
    detail: str | None = None


class Allocation(msgspec.Struct, kw_only=True):
    id: str
    machine_id: str
    state: str
    customer_name: str = ""
    account: str | None = None
    ends_at: str = ""
    end_reason: str | None = None
    steps: list[AllocationStep] = []


class AuditEntry(msgspec.Struct, kw_only=True):
    at: str
    action: str
    outcome: str
    actor_name: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None


class AuditVerdict(msgspec.Struct, kw_only=True):
    """``pending``: entries not yet in the hash chain."""

    ok: bool
    sealed: int
    pending: int
    detail: str | None = None


class SshKey(msgspec.Struct, kw_only=True):
    id: str
    name: str
    fingerprint: str


FINAL_TASK_STATES = frozenset({"succeeded", "failed", "timed_out", "stopped", "cancelled"})
