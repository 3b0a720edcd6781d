"""The SQL of every migration: as the plan shows it, and as squawk judges it (long locks, what the old code misses)."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from remotegpu.server.migrations import chain
from remotegpu.server.migrations.rendering import concurrent_indexes, config, sql_of

SQUAWK = Path(sys.executable).with_name("squawk")
LIMITS = "SET lock_timeout = '1s';\nSET statement_timeout = '15min';\n"
"""What ``remotegpu server migrate`` sets before any of it."""
EXCEPTIONS = {
    "0001_pre_initial": {"prefer-text-field": "Alembic's own table of one row has a column of 32 characters"}
}
"""Rules that a migration older than this test may break, with the reason. None is added for a newer one."""
CONTRACTING = ("ban-drop-column", "ban-drop-table", "ban-drop-not-null")
"""What only a migration may do that says that it contracts."""

LOCKING = re.compile(
    r"(?:ALTER|DROP|LOCK|TRUNCATE) TABLE (?:IF EXISTS |ONLY )*(\w+)|REFERENCES (\w+)"
    r"|(?:CREATE|DROP) TRIGGER [^;]*? ON (\w+)|CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)[^;]*? ON (\w+)"
)
"""What makes others wait for a table."""


def locked_together(sql: str) -> set[str]:
    """Tables that others use already and that one transaction locks."""
    made = set(re.findall(r"CREATE TABLE (\w+)", sql))
    return {name for match in LOCKING.findall(sql) for name in match if name} - made


@pytest.fixture(scope="module")
def scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(config())


def judge(sql: str, directory: Path, *, but: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    path = directory / "migration.sql"
    path.write_text(LIMITS + sql, encoding="utf-8")
    excluded = [f"--exclude={','.join(but)}"] if but else []
    return subprocess.run(
        [str(SQUAWK), "--pg-version=17.0", *excluded, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=directory,
    )


def contracts(name: str) -> bool:
    return next(revision.contracts for revision in chain.read() if revision.name == name)


@pytest.mark.parametrize("name", [revision.name for revision in chain.read()])
def test_squawk_has_nothing_to_say(name: str, scripts: ScriptDirectory, tmp_path: Path) -> None:
    allowed = CONTRACTING if contracts(name) else ()
    done = judge(sql_of(scripts, name), tmp_path, but=(*EXCEPTIONS.get(name, {}), *allowed))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "rule"), [(name, rule) for name, rules in EXCEPTIONS.items() for rule in rules]
)
def test_every_exception_is_needed(name: str, rule: str, scripts: ScriptDirectory, tmp_path: Path) -> None:
    others = tuple(other for other in EXCEPTIONS[name] if other != rule)
    assert rule in judge(sql_of(scripts, name), tmp_path, but=others).stdout
    assert name < "0003", "a newer migration is written so that it needs none"


def test_squawk_would_find_a_lock_that_stops_everybody(tmp_path: Path) -> None:
    done = judge("BEGIN;\nCREATE INDEX ix ON tasks (name);\nCOMMIT;\n", tmp_path)
    assert done.returncode != 0
    assert "require-concurrent-index-creation" in done.stdout


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE allocations DROP COLUMN note",
        "DROP TABLE tasks",
        "ALTER TABLE tasks ALTER name DROP NOT NULL",
    ],
)
def test_a_migration_that_removes_something_must_say_that_it_contracts(sql: str, tmp_path: Path) -> None:
    assert judge(f"BEGIN;\n{sql};\nCOMMIT;\n", tmp_path).returncode != 0
    assert judge(f"BEGIN;\n{sql};\nCOMMIT;\n", tmp_path, but=CONTRACTING).returncode == 0


def test_a_revisions_sql_is_whole(scripts: ScriptDirectory) -> None:
    sql = sql_of(scripts, "0003_pre_schema_ledger")
    assert sql.startswith("BEGIN;")
    assert sql.rstrip().endswith("COMMIT;")
    assert "CREATE TABLE schema_ledger" in sql
    assert chain.read()[0].checksum in sql
    assert "UPDATE alembic_version SET version_num='0003_pre_schema_ledger'" in sql
    assert "% on % refused" in sql_of(scripts, "0001_pre_initial"), "percent signs as the database gets them"


@pytest.mark.parametrize("name", [revision.name for revision in chain.read()])
def test_what_leaves_the_transaction_says_so(name: str, scripts: ScriptDirectory) -> None:
    revision = next(revision for revision in chain.read() if revision.name == name)
    source = Path(scripts.get_revision(name).path).read_text(encoding="utf-8")
    assert revision.transactional == ("autocommit_block" not in source)
    assert bool(concurrent_indexes(sql_of(scripts, name))) <= (not revision.transactional)


@pytest.mark.parametrize("name", [revision.name for revision in chain.read()])
def test_one_migration_locks_one_table(name: str, scripts: ScriptDirectory) -> None:
    """With two, it can end up in a deadlock with somebody's request, and PostgreSQL may choose the request to fail."""
    assert len(locked_together(sql_of(scripts, name))) <= 1, "split it"


def test_tables_that_are_locked_together_are_found() -> None:
    sql = """CREATE TABLE new (a bigint REFERENCES machines (id)); ALTER TABLE new ADD x text;
    ALTER TABLE ONLY customers ADD y text; CREATE TRIGGER t AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION f();
    CREATE INDEX ix ON users (name); CREATE INDEX CONCURRENTLY ix2 ON attempts (id); UPDATE ssh_keys SET name = ''"""
    assert locked_together(sql) == {"machines", "customers", "tasks", "users"}


def test_indexes_that_are_built_concurrently_are_found() -> None:
    sql = 'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS ix_a ON t (a);\ncreate index concurrently "ix_b" ON t (b)'
    assert concurrent_indexes(sql) == ("ix_a", "ix_b")
    assert concurrent_indexes("CREATE INDEX ix_c ON t (c)") == ()
