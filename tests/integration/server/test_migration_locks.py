"""Migrations on tables that others use: short waits, another try, and the name of who did not let go."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import migration_files as files
from remotegpu.server.migrations import run
from remotegpu.server.migrations.errors import MigrationError
from services import Stack

pytestmark = pytest.mark.usefixtures("env")

QUICK = run.Limits(lock_deadline=1.2)
CHANGE = "ALTER TABLE customers ADD COLUMN nickname text"
INDEX = """\
with op.get_context().autocommit_block():
    op.create_index(
        "uq_customers_name", "customers", ["name"], unique=True, postgresql_concurrently=True, if_not_exists=True
    )"""


@pytest.fixture
def env(server_env: dict[str, str]) -> Iterator[dict[str, str]]:
    with files.environment(server_env):
        yield server_env


@pytest.fixture
def admin(stack: Stack, env: dict[str, str]) -> Iterator[psycopg.Connection]:
    with stack.connect(env) as connection:
        yield connection


@pytest.fixture
def holder(stack: Stack, env: dict[str, str]) -> Iterator[psycopg.Connection]:
    """Somebody who will hold a lock; whatever it holds is let go at the end."""
    with stack.connect(env) as connection:
        yield connection


HELD = [
    pytest.param(("BEGIN", "LOCK TABLE customers IN ACCESS EXCLUSIVE MODE"), id="maintenance"),
    pytest.param(("BEGIN", "SELECT count(*) FROM customers"), id="a long transaction"),
]


def columns(connection: psycopg.Connection) -> set[str]:
    found = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'customers'"
    )
    return {row[0] for row in found.fetchall()}


def current(connection: psycopg.Connection) -> str:
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("held", HELD)
def test_it_goes_on_as_soon_as_the_lock_is_let_go(
    admin: psycopg.Connection,
    holder: psycopg.Connection,
    held: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for statement in held:
        holder.execute(statement)
    said: list[str] = []

    def tell(line: str) -> None:
        said.append(line)
        if "waits for" in line:
            holder.execute("ROLLBACK")

    monkeypatch.setattr(run, "tell", tell)
    folders = files.write(tmp_path, "9001_pre_a", CHANGE)
    done = run.upgrade(folders=folders)
    assert done.applied == ("9001_pre_a",)
    assert "nickname" in columns(admin)
    waits = [line for line in said if "waits for" in line]
    assert len(waits) == 1
    assert f"session {holder.info.backend_pid} of role postgres" in waits[0]


@pytest.mark.parametrize("held", HELD)
def test_it_gives_up_with_the_name_of_who_holds_the_lock(
    admin: psycopg.Connection,
    holder: psycopg.Connection,
    held: tuple[str, ...],
    tmp_path: Path,
) -> None:
    for statement in held:
        holder.execute(statement)
    folders = files.write(tmp_path, "9001_pre_a", "CREATE TABLE half (id bigint PRIMARY KEY)", CHANGE)
    with pytest.raises(MigrationError) as caught:
        run.upgrade(folders=folders, limits=QUICK)
    said = str(caught.value)
    assert f"got no lock within 1.2 s, because of session {holder.info.backend_pid} of role postgres" in said
    assert f"nothing of it was applied; the schema is at {files.HEAD}" in said
    holder.execute("ROLLBACK")
    assert "nickname" not in columns(admin)
    assert current(admin) == files.HEAD
    found = admin.execute(
        "SELECT to_regclass('half'), (SELECT count(*) FROM schema_ledger WHERE revision > '9')"
    )
    assert found.fetchone() == (None, 0)


def test_the_advisory_lock_is_let_go_after_a_failure(admin: psycopg.Connection, tmp_path: Path) -> None:
    with pytest.raises(MigrationError):
        run.upgrade(folders=files.write(tmp_path, "9001_pre_a", "SELECT 1 / 0"))
    admin.execute("SET lock_timeout = '10s'")  # the session that held it ends a moment after its connection
    admin.execute("SELECT pg_advisory_lock(%s)", [run.MIGRATION_LOCK])


def company(connection: psycopg.Connection, code: str, name: str) -> None:
    connection.execute(
        "INSERT INTO customers (id, company_code, name, status, created_at) "
        "VALUES (gen_random_uuid(), %s, %s, 'active', now())",
        [code, name],
    )


def index_is_valid(connection: psycopg.Connection) -> bool | None:
    row = connection.execute(
        "SELECT indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE relname = 'uq_customers_name'"
    ).fetchone()
    return None if row is None else bool(row[0])


def test_an_index_that_a_killed_attempt_left_invalid_is_built_anew(
    admin: psycopg.Connection, tmp_path: Path
) -> None:
    company(admin, "a", "same")
    company(admin, "b", "same")
    admin.execute("SET ROLE remotegpu_owner")
    with pytest.raises(psycopg.errors.UniqueViolation):
        admin.execute("CREATE UNIQUE INDEX CONCURRENTLY uq_customers_name ON customers (name)")
    assert index_is_valid(admin) is False
    admin.execute("UPDATE customers SET name = company_code")
    folders = files.write(tmp_path, "9001_pre_index", body=INDEX, transactional=False)
    assert run.upgrade(folders=folders).applied == ("9001_pre_index",)
    assert index_is_valid(admin) is True
    assert current(admin) == "9001_pre_index"


def test_an_index_that_cannot_be_built_leaves_none_behind(admin: psycopg.Connection, tmp_path: Path) -> None:
    company(admin, "a", "same")
    company(admin, "b", "same")
    folders = files.write(tmp_path, "9001_pre_index", body=INDEX, transactional=False)
    with pytest.raises(MigrationError, match="could not create unique index") as caught:
        run.upgrade(folders=folders)
    assert "it runs outside a transaction" in str(caught.value)
    assert index_is_valid(admin) is None
    assert current(admin) == files.HEAD
    admin.execute("UPDATE customers SET name = company_code")
    assert run.upgrade(folders=folders).applied == ("9001_pre_index",)
    assert index_is_valid(admin) is True


def test_a_concurrent_index_waits_for_an_old_transaction_without_stopping_anybody(
    admin: psycopg.Connection, holder: psycopg.Connection, tmp_path: Path
) -> None:
    holder.execute("BEGIN")
    holder.execute("UPDATE customers SET name = name")
    folders = files.write(tmp_path, "9001_pre_index", body=INDEX, transactional=False)
    with pytest.raises(MigrationError, match=f"because of session {holder.info.backend_pid} ") as caught:
        run.upgrade(folders=folders, limits=run.Limits(lock_deadline=1))
    assert "an invalid index may be left until then" in str(caught.value), (
        "dropping it waits for the same session"
    )
    company(admin, "c", "others write meanwhile")
    holder.execute("ROLLBACK")
    assert run.upgrade(folders=folders).applied == ("9001_pre_index",)
    assert index_is_valid(admin) is True
