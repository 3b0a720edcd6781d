"""Reading and writing ``schema_ledger``, and the refusal of files that were changed after they were applied."""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, text

from remotegpu.server.core.schema_ledger import SchemaLedger
from remotegpu.server.migrations.chain import Chain, Revision
from remotegpu.server.migrations.errors import MigrationError


@dataclass(frozen=True, kw_only=True)
class Entry:
    revision: str
    phase: str
    contracts: bool
    checksum: str


def current(connection: Connection) -> str | None:
    """The newest applied revision; None for a database without any."""
    if not connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL")):
        return None
    return connection.scalar(text("SELECT max(version_num) FROM alembic_version"))


def exists(connection: Connection) -> bool:
    return bool(connection.scalar(text("SELECT to_regclass('schema_ledger') IS NOT NULL")))


def read(connection: Connection) -> tuple[Entry, ...]:
    """What was applied, in order; nothing before the ledger's own migration."""
    if not exists(connection):
        return ()
    table = SchemaLedger
    columns = select(table.revision, table.phase, table.contracts, table.checksum).order_by(table.revision)
    return tuple(
        Entry(revision=row.revision, phase=row.phase, contracts=row.contracts, checksum=row.checksum)
        for row in connection.execute(columns)
    )


def require_unchanged(chain: Chain, entries: tuple[Entry, ...]) -> None:
    """Raises :class:`MigrationError` naming each applied file that is another now. Unknown newer entries are fine."""
    applied = {entry.revision: entry.checksum for entry in entries}
    changed = [
        f"- {revision.name}: found {revision.checksum[:12]}, expected {applied[revision.name][:12]}"
        for revision in chain
        if applied.get(revision.name, revision.checksum) != revision.checksum
    ]
    if changed:
        raise MigrationError(
            "these migrations were changed after they were applied (SHA-256 of the file; nothing was applied now):\n"
            + "\n".join(changed)
            + "\nrestore the files as they were released; what should change belongs into a new migration"
        )


def write(connection: Connection, revision: Revision, *, duration_ms: int, release: str) -> None:
    """Note one applied revision. Does nothing before the ledger exists: its own migration notes those before it."""
    if not exists(connection):
        return
    connection.execute(
        insert(SchemaLedger).values(
            revision=revision.name,
            phase=revision.phase,
            contracts=revision.contracts,
            checksum=revision.checksum,
            duration_ms=duration_ms,
            applied_by=release,
        )
    )
