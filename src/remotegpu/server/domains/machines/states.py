"""The machine's state machine, pure: which transitions exist."""

from remotegpu.server.core.errors import ConflictError

TRANSITIONS: dict[str, frozenset[str]] = {
    "enrolling": frozenset({"online", "quarantined"}),
    "online": frozenset({"allocated", "maintenance", "quarantined"}),
    "allocated": frozenset({"reclaiming", "quarantined"}),
    "reclaiming": frozenset({"online", "maintenance", "quarantined"}),
    "maintenance": frozenset({"online", "quarantined"}),
    "quarantined": frozenset({"online", "maintenance", "reclaiming"}),
}


def check_transition(current: str, wanted: str) -> None:
    """Raise :class:`ConflictError` for a transition that does not exist."""
    if wanted not in TRANSITIONS[current]:
        possible = ", ".join(sorted(TRANSITIONS[current]))
        raise ConflictError(
            f"a machine that is {current} cannot become {wanted}; from here it can become: {possible}",
            code="illegal_transition",
        )
