"""Protocol versions: who may talk to whom.

A version is ``MAJOR.MINOR``. A minor version adds optional fields only; unknown fields are ignored by the
receiver, so neighbours one minor apart work together. Everything further apart is refused with a clear answer.
"""

PROTOCOL_VERSION = "1.1"
"""The version this code speaks. Bump MINOR for an added optional field, MAJOR for anything else."""

PROTOCOL_HEADER = "x-remotegpu-protocol"
"""Request header in which the agent states its version, on every call and every stream."""


def parse(version: str) -> tuple[int, int]:
    """``"1.4"`` → ``(1, 4)``. Raises ``ValueError`` for anything that is not two dotted whole numbers."""
    major, dot, minor = version.partition(".")
    if not dot or not major.isdecimal() or not minor.isdecimal():
        raise ValueError(
            f"protocol version is {version!r}, expected MAJOR.MINOR such as {PROTOCOL_VERSION!r}"
        )
    return int(major), int(minor)


def is_compatible(theirs: str, ours: str = PROTOCOL_VERSION) -> bool:
    """True when both share the major version and differ by at most one minor version."""
    their_major, their_minor = parse(theirs)
    our_major, our_minor = parse(ours)
    return their_major == our_major and abs(their_minor - our_minor) <= 1
