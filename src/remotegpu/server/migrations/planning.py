"""What a run would do, as data and as text."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from alembic.script import ScriptDirectory

from remotegpu.server.migrations.chain import Chain, Revision
from remotegpu.server.migrations.choosing import Run, chosen, pending
from remotegpu.server.migrations.ledger import Entry
from remotegpu.server.migrations.rendering import sql_of


@dataclass(frozen=True, kw_only=True)
class Pending:
    """``applies``: in the phase that was asked for. ``older_release``: a ``post`` that a pending ``pre`` follows."""

    revision: str
    phase: str
    contracts: bool
    transactional: bool
    summary: str
    applies: bool
    older_release: bool
    sql: str


@dataclass(frozen=True, kw_only=True)
class Known:
    """One revision of the whole chain. ``known``: to this code; what is applied and unknown is newer than it."""

    revision: str
    phase: str
    contracts: bool
    applied: bool
    known: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """``current``: where the schema is. ``head``: the newest revision this code knows.

    ``revisions``: all, in order. A release whose schema was at R cannot come back once one after R that contracts is
    applied.
    """

    phase: str
    current: str | None
    head: str
    pending: tuple[Pending, ...]
    revisions: tuple[Known, ...]

    def as_json(self) -> dict[str, Any]:  # Any: a JSON document
        return asdict(self)


def plan(
    chain: Chain, entries: Sequence[Entry], current: str | None, phase: Run, scripts: ScriptDirectory
) -> Plan:
    """Raises :class:`MigrationError` where a run would be refused."""
    waiting = pending(chain, current)
    applies = {revision.name for revision in chosen(waiting, phase)}
    last_pre = max((revision.name for revision in waiting if revision.phase == "pre"), default="")
    return Plan(
        phase=phase,
        current=current,
        head=chain[-1].name,
        pending=tuple(
            Pending(
                revision=revision.name,
                phase=revision.phase,
                contracts=revision.contracts,
                transactional=revision.transactional,
                summary=revision.summary,
                applies=revision.name in applies,
                older_release=revision.phase == "post" and revision.name < last_pre,
                sql=sql_of(scripts, revision.name),
            )
            for revision in waiting
        ),
        revisions=tuple(_revisions(chain, entries, waiting)),
    )


def _revisions(chain: Chain, entries: Sequence[Entry], waiting: Sequence[Revision]) -> Iterator[Known]:
    for revision in chain:
        yield Known(
            revision=revision.name,
            phase=revision.phase,
            contracts=revision.contracts,
            applied=revision not in waiting,
            known=True,
        )
    names = {revision.name for revision in chain}
    for entry in entries:
        if entry.revision not in names:
            yield Known(
                revision=entry.revision,
                phase=entry.phase,
                contracts=entry.contracts,
                applied=True,
                known=False,
            )


def lines(plan: Plan) -> Iterator[str]:
    """For people: each pending revision, what it means, and its SQL."""
    yield f"schema is at {plan.current or 'nothing yet'}; this version knows up to {plan.head}"
    if not plan.pending:
        yield "nothing is pending"
    for revision in plan.pending:
        yield ""
        yield f"{revision.revision}: {revision.summary}"
        yield f"  {'is applied' if revision.applies else 'is left'} by --phase {plan.phase}; {_meaning(revision)}"
        yield from (f"    {line}" if line else "" for line in revision.sql.splitlines())


def _meaning(revision: Pending) -> str:
    said = "removes what older code needs" if revision.contracts else "older code goes on working"
    if revision.older_release:
        said += "; belongs to an older release, and must come before the pre migration that follows it"
    if not revision.transactional:
        said += "; runs outside a transaction"
    return said
