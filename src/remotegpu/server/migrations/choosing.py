"""Which revisions a run applies. Pure.

The chain is linear, so a revision can only be applied together with everything before it. A release brings its ``pre``
revisions, then its ``post`` ones, so a pending ``post`` that is followed by a ``pre`` belongs to an older release.
"""

from collections.abc import Sequence
from typing import Literal

from remotegpu.server.migrations.chain import NAME, Chain, Revision
from remotegpu.server.migrations.errors import MigrationError

Run = Literal["pre", "post", "all"]


def pending(chain: Chain, current: str | None) -> tuple[Revision, ...]:
    """What this code knows beyond ``current``; nothing when the schema is newer than this code."""
    if current is None:
        return tuple(chain)
    names = [revision.name for revision in chain]
    if current in names:
        return tuple(chain[names.index(current) + 1 :])
    if is_newer(current, names):
        return ()
    raise MigrationError(
        f"the schema is at {current}, which this version does not know although it is not newer than "
        f"{names[-1]}; use the version that this schema belongs to, or a later one"
    )


def is_newer(current: str, names: Sequence[str]) -> bool:
    """Whether an unknown revision comes from a later release."""
    return NAME.fullmatch(current) is not None and int(current[:4]) > int(names[-1][:4])


def chosen(waiting: Sequence[Revision], phase: Run) -> tuple[Revision, ...]:
    """The part of ``waiting`` that a run of ``phase`` applies.

    ``pre``: up to the last ``pre``, with the older releases' ``post`` between. ``all``: everything. ``post``:
    everything, but refused while a ``pre`` is pending: the new code should not have been started without it.
    """
    last_pre = max((at for at, revision in enumerate(waiting) if revision.phase == "pre"), default=-1)
    if phase == "pre":
        return tuple(waiting[: last_pre + 1])
    if phase == "post" and last_pre >= 0:
        raise MigrationError(
            f"{waiting[last_pre].name} is pending, and must be applied before the code that needs it starts; run "
            "`remotegpu server migrate --phase pre`, start the new version, then run --phase post again"
        )
    return tuple(waiting)
