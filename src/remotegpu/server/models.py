"""Every table, imported in one place so that metadata is whole (for migrations and their tests)."""

from remotegpu.server.core.database import Base
from remotegpu.server.core.idempotency import IdempotencyKey
from remotegpu.server.core.schema_ledger import SchemaLedger
from remotegpu.server.domains.access.models import AccessSession
from remotegpu.server.domains.allocations.models import Allocation, ReclaimStep
from remotegpu.server.domains.audit.models import AuditLog, AuditSeal
from remotegpu.server.domains.auth.models import AccessToken, SshKey, User
from remotegpu.server.domains.customers.models import Customer
from remotegpu.server.domains.machines.models import JoinToken, Machine, NodeToken
from remotegpu.server.domains.tasks.models import Artifact, Attempt, Task

__all__ = [
    "AccessSession",
    "AccessToken",
    "Allocation",
    "Artifact",
    "Attempt",
    "AuditLog",
    "AuditSeal",
    "Base",
    "Customer",
    "IdempotencyKey",
    "JoinToken",
    "Machine",
    "NodeToken",
    "ReclaimStep",
    "SchemaLedger",
    "SshKey",
    "Task",
    "User",
]
