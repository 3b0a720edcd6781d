"""The allocation's state machine: which transitions exist, and the one function that makes them."""

from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.server.core.errors import ConflictError
from remotegpu.server.core.hub import announce
from remotegpu.server.domains.allocations.models import Allocation
from remotegpu.server.domains.audit import service as audit

CREATED = "created"
"""What comes before the first state, in the audit trail."""
TRANSITIONS: dict[str, frozenset[str]] = {
    "scheduled": frozenset({"active", "cancelled"}),
    "active": frozenset({"expiring", "reclaiming"}),
    "expiring": frozenset({"active", "reclaiming"}),
    "reclaiming": frozenset({"ended"}),
    "ended": frozenset(),
    "cancelled": frozenset(),
}


def check_transition(current: str, wanted: str) -> None:
    """Raise :class:`ConflictError` for a transition that does not exist."""
    if wanted not in TRANSITIONS[current]:
        possible = ", ".join(sorted(TRANSITIONS[current])) or "nothing, that is final"
        raise ConflictError(
            f"an allocation that is {current} cannot become {wanted}; from here it can become: {possible}",
            code="illegal_transition",
        )


def set_state(tx: AsyncSession, allocation: Allocation, wanted: str, reason: str) -> None:
    """The one place where an allocation changes its state."""
    check_transition(allocation.state, wanted)
    previous, allocation.state = allocation.state, wanted
    record(tx, allocation, previous, wanted, reason)


def record(tx: AsyncSession, allocation: Allocation, previous: str, wanted: str, reason: str = "") -> None:
    """Write the change into the audit trail and tell who looks at it."""
    detail = {
        "from": previous,
        "to": wanted,
        "reason": reason,
        "machine_id": str(allocation.machine_id),
        "ends_at": allocation.ends_at.isoformat(),
    }
    audit.record(
        tx,
        f"allocation.{'create' if previous == CREATED else wanted}",
        "allocation",
        allocation.id,
        customer_id=allocation.customer_id,
        detail=detail,
    )
    customers = [str(allocation.customer_id)]
    announce(tx, "allocations", allocation.id, customers)
    announce(tx, "machines", allocation.machine_id, customers)
