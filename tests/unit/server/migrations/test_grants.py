"""Only what differs is granted or revoked."""

from remotegpu.server.migrations.grants import ADD, CHANGE, READ, SEQUENCE, Relation, receiver, statements
from remotegpu.server.settings import DatabaseSettings


def table(name: str, *granted: str) -> Relation:
    return Relation(name=name, is_sequence=False, granted=frozenset(granted))


def difference(*relations: Relation, defaults: frozenset[str] = frozenset("rS")) -> list[str]:
    return statements("app", relations, set(defaults), has_schema=True, quote=str)


def test_nothing_is_done_where_all_is_as_wanted() -> None:
    tables = [table("machines", *CHANGE), table("audit_logs", *ADD), table("schema_ledger", *READ)]
    assert difference(*tables, Relation(name="ids", is_sequence=True, granted=SEQUENCE)) == []


def test_a_new_table_is_granted_and_the_audit_trail_stays_append_only() -> None:
    assert difference(table("new"), table("audit_logs", *CHANGE)) == [
        "GRANT DELETE, INSERT, SELECT, UPDATE ON TABLE new TO app",
        "REVOKE DELETE, UPDATE ON TABLE audit_logs FROM app",
    ]


def test_a_role_that_came_later_gets_all_of_it() -> None:
    found = statements("app", [table("machines")], set(), has_schema=False, quote=str)
    assert found == [
        "GRANT USAGE ON SCHEMA public TO app",
        "GRANT DELETE, INSERT, SELECT, UPDATE ON TABLE machines TO app",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT DELETE, INSERT, SELECT, UPDATE ON TABLES TO app",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, USAGE ON SEQUENCES TO app",
    ]


def settings(user: str, owner: str, group: str) -> DatabaseSettings:
    return DatabaseSettings(
        host="h",
        port=1,
        name="n",
        user=user,
        password="p",
        sslmode="disable",
        owner_user=owner,
        owner_password="o",
        app_group=group,
    )


def test_the_group_receives_unless_the_application_owns_the_tables() -> None:
    assert receiver(settings("app_a", "owner", "app")) == "app"
    assert receiver(settings("app", "owner", "app")) == "app"
    assert receiver(settings("app", "app", "app")) is None
    assert receiver(settings("app", "owner", "owner")) is None
