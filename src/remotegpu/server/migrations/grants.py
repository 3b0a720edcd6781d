"""What the application may do: change data, no schema; only add to the audit trail; only read what migrations keep.

Compared with what is granted in every run and after each migration, in its transaction, so that a role that came later,
such as the group of two alternating login roles, is covered too. Default privileges cover what the owner makes later.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, text

from remotegpu.server.migrations.errors import MigrationError
from remotegpu.server.settings import DatabaseSettings

CHANGE = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
ADD = frozenset({"SELECT", "INSERT"})
READ = frozenset({"SELECT"})
SEQUENCE = frozenset({"SELECT", "USAGE"})
RESTRICTED = {"audit_logs": ADD, "audit_seals": ADD, "alembic_version": READ, "schema_ledger": READ}
"""Tables that the application may not change freely. A new one stands here before its migration makes it."""

_FOUND = text(
    "SELECT relname AS name, relkind = 'S' AS is_sequence, ARRAY(SELECT privilege_type::text "
    "FROM aclexplode(relacl) WHERE grantee = CAST(:oid AS oid)) AS granted FROM pg_class "
    "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'S') "
    "AND relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user) ORDER BY relname"
)
_DEFAULTS = text(
    "SELECT defaclobjtype::text AS kind FROM pg_default_acl, aclexplode(defaclacl) "
    "WHERE defaclnamespace = 'public'::regnamespace AND grantee = CAST(:oid AS oid) "
    "AND defaclrole = (SELECT oid FROM pg_roles WHERE rolname = current_user) GROUP BY 1"
)


@dataclass(frozen=True, kw_only=True)
class Relation:
    name: str
    is_sequence: bool
    granted: frozenset[str]

    @property
    def wanted(self) -> frozenset[str]:
        return SEQUENCE if self.is_sequence else RESTRICTED.get(self.name, CHANGE)


def receiver(settings: DatabaseSettings) -> str | None:
    """Who is granted what the application needs; None when the application's role owns the tables itself."""
    return None if settings.owner_user in {settings.user, settings.app_group} else settings.app_group


def bring_in_line(connection: Connection, role: str | None) -> None:
    """Grant and revoke what differs. Raises :class:`MigrationError` when there is no such role."""
    if role is None:
        return
    oid = connection.scalar(text("SELECT oid::bigint FROM pg_roles WHERE rolname = :role"), {"role": role})
    if oid is None:
        raise MigrationError(
            f"there is no role {role}, expected the one that is granted what the application needs; create it, or name "
            "another one with DB_APP_GROUP (by default DB_USER)"
        )
    relations = [
        Relation(name=row.name, is_sequence=row.is_sequence, granted=frozenset(row.granted))
        for row in connection.execute(_FOUND, {"oid": oid})
    ]
    has_schema = connection.scalar(
        text("SELECT has_schema_privilege(CAST(:oid AS oid), 'public', 'USAGE')"), {"oid": oid}
    )
    defaults = set(connection.scalars(_DEFAULTS, {"oid": oid}))
    quote = connection.dialect.identifier_preparer.quote
    for statement in statements(quote(role), relations, defaults, has_schema=bool(has_schema), quote=quote):
        connection.execute(text(statement))


def statements(
    role: str,
    relations: Iterable[Relation],
    defaults: set[str],
    *,
    has_schema: bool,
    quote: Callable[[str], str],
) -> list[str]:
    """The difference as SQL. ``defaults``: kinds (``r``, ``S``) with default privileges; ``role`` is quoted."""
    found: list[str] = [] if has_schema else [f"GRANT USAGE ON SCHEMA public TO {role}"]
    for relation in relations:
        name = ("SEQUENCE " if relation.is_sequence else "TABLE ") + quote(relation.name)
        missing, excess = relation.wanted - relation.granted, relation.granted - relation.wanted
        found += [f"GRANT {_listed(missing)} ON {name} TO {role}"] if missing else []
        found += [f"REVOKE {_listed(excess)} ON {name} FROM {role}"] if excess else []
    for kind, privileges, noun in (("r", CHANGE, "TABLES"), ("S", SEQUENCE, "SEQUENCES")):
        if kind not in defaults:
            found.append(
                f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {_listed(privileges)} ON {noun} TO {role}"
            )
    return found


def _listed(privileges: frozenset[str]) -> str:
    return ", ".join(sorted(privileges))
