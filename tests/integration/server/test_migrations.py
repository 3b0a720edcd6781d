"""Applying migrations to a real database: all of one or nothing, in the ledger, and who may do what afterwards."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import alembic.command
import psycopg
import pytest

import migration_files as files
from remotegpu import __version__
from remotegpu.server.migrations import chain, run
from remotegpu.server.migrations.chain import VERSIONS
from remotegpu.server.migrations.errors import MigrationError
from remotegpu.server.migrations.rendering import config
from services import Stack

REAL = [revision.name for revision in chain.read()]


def migrate(*options: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """``remotegpu server migrate``, as an operator runs it."""
    command = [sys.executable, "-m", "remotegpu.cli.main", "server", "migrate", *options]
    return subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def env(server_env: dict[str, str]) -> Iterator[dict[str, str]]:
    """A database with the real schema, and this process reading its settings."""
    with files.environment(server_env):
        yield server_env


@pytest.fixture
def admin(stack: Stack, env: dict[str, str]) -> Iterator[psycopg.Connection]:
    with stack.connect(env) as connection:
        yield connection


def tables(connection: psycopg.Connection) -> set[str]:
    found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row[0] for row in found.fetchall()}


def noted(connection: psycopg.Connection) -> list[str]:
    return [
        row[0]
        for row in connection.execute("SELECT revision FROM schema_ledger ORDER BY revision").fetchall()
    ]


def test_the_plan_shows_everything_and_changes_nothing(
    stack: Stack, empty_server_env: dict[str, str]
) -> None:
    shown = migrate("--plan", "--json", env=empty_server_env)
    assert shown.returncode == 0, shown.stderr
    plan = json.loads(shown.stdout)
    assert (plan["current"], plan["head"]) == (None, REAL[-1])
    assert [revision["revision"] for revision in plan["pending"]] == REAL
    first = plan["pending"][0]
    assert (first["phase"], first["contracts"], first["applies"], first["older_release"]) == (
        "pre",
        False,
        True,
        False,
    )
    assert "CREATE TABLE machines" in first["sql"]
    assert {revision["applied"] for revision in plan["revisions"]} == {False}
    text = migrate("--plan", env=empty_server_env)
    assert text.returncode == 0
    assert "schema is at nothing yet" in text.stdout
    assert "    CREATE TABLE machines" in text.stdout
    with stack.connect(empty_server_env) as connection:
        assert tables(connection) == set()


def test_everything_is_noted_with_who_applied_it(stack: Stack, empty_server_env: dict[str, str]) -> None:
    done = migrate("--phase", "pre", "--release", "v1.2.3", "--json", env=empty_server_env)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"revision": REAL[-1], "applied": REAL}
    with stack.connect(empty_server_env) as connection:
        rows = connection.execute(
            "SELECT revision, phase, contracts, checksum, duration_ms, applied_by FROM schema_ledger ORDER BY revision"
        ).fetchall()
    assert [(row[0], row[1], row[2], row[3]) for row in rows] == [
        (revision.name, revision.phase, revision.contracts, revision.checksum) for revision in chain.read()
    ]
    assert [(row[4] is None, row[5]) for row in rows[:3]] == [
        (True, "before the ledger"),
        (True, "before the ledger"),
        (False, "v1.2.3"),
    ]
    again = migrate("--json", env=empty_server_env)
    assert json.loads(again.stdout) == {"revision": REAL[-1], "applied": []}


def test_two_runs_at_once_apply_everything_once(stack: Stack, empty_server_env: dict[str, str]) -> None:
    command = [sys.executable, "-m", "remotegpu.cli.main", "server", "migrate", "--json"]
    runs = [
        subprocess.Popen(
            command, env={**os.environ, **empty_server_env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in runs]
    assert [process.returncode for process in runs] == [0, 0], outputs
    applied = sorted(json.loads(output)["applied"] for output, _ in outputs)
    assert applied == [[], REAL]
    with stack.connect(empty_server_env) as connection:
        assert noted(connection) == REAL


def test_another_run_that_does_not_end_is_named(admin: psycopg.Connection) -> None:
    admin.execute("SELECT pg_advisory_lock(%s)", [run.MIGRATION_LOCK])
    pid = admin.info.backend_pid
    with pytest.raises(
        MigrationError, match=rf"another migration is at work: session {pid} of role postgres"
    ):
        run.upgrade(limits=run.Limits(lock_deadline=0.3))


def test_settings_and_failures_have_their_own_exit_status(env: dict[str, str]) -> None:
    missing = migrate(env={**env, "DB_OWNER_PASSWORD": ""})
    assert (missing.returncode, "DB_OWNER_PASSWORD: found nothing" in missing.stderr) == (2, True)
    soon = migrate("--lock-deadline", "soon", env=env)
    assert (soon.returncode, "--lock-deadline: found 'soon'" in soon.stderr) == (2, True)
    for wrong in ({"DB_PORT": "1"}, {"DB_OWNER_PASSWORD": "wrong-but-secret"}):
        away = migrate(env={**env, **wrong})
        assert away.returncode == 4
        assert "the database refused" in away.stderr
        assert "Traceback" not in away.stderr
        assert "wrong-but-secret" not in away.stderr
    absent = migrate(env={**env, "DB_APP_GROUP": "nobody_made_it"})
    assert (absent.returncode, "there is no role nobody_made_it" in absent.stderr) == (4, True)


def test_a_migration_that_fails_leaves_nothing(admin: psycopg.Connection, tmp_path: Path) -> None:
    files.write(tmp_path, "9001_pre_good", "CREATE TABLE good (id bigint PRIMARY KEY)")
    folders = files.write(
        tmp_path,
        "9002_pre_bad",
        "CREATE TABLE half (id bigint PRIMARY KEY)",
        "ALTER TABLE no_such_table ADD COLUMN x text",
        after="9001_pre_good",
    )
    with pytest.raises(MigrationError) as caught:
        run.upgrade(folders=folders)
    said = str(caught.value)
    assert 'migration 9002_pre_bad failed: relation "no_such_table" does not exist' in said
    assert "nothing of it was applied; the schema is at 9001_pre_good" in said
    assert "good" in tables(admin)
    assert "half" not in tables(admin)
    assert noted(admin) == [*REAL, "9001_pre_good"]


KILLED = """
import sys
from pathlib import Path
from remotegpu.server.migrations import run
from remotegpu.server.migrations.chain import VERSIONS
run.upgrade(folders=(VERSIONS, Path(sys.argv[1])))
"""


def test_a_run_that_is_killed_leaves_nothing_and_lets_go(
    env: dict[str, str], admin: psycopg.Connection, tmp_path: Path
) -> None:
    create = "CREATE TABLE half (id bigint PRIMARY KEY)"
    folders = files.write(tmp_path, "9001_pre_slow", create, "SELECT pg_sleep(100)")
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], env={**os.environ, **env})
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event = 'PgSleep'"
    deadline = time.monotonic() + 60
    while admin.execute(sleeping, [env["DB_NAME"]]).fetchone() == (0,):
        assert process.poll() is None
        assert time.monotonic() < deadline, "the migration did not start"
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert noted(admin) == REAL
    files.write(tmp_path, "9001_pre_slow", create)
    done = run.upgrade(folders=folders, limits=run.Limits(lock_deadline=20))
    assert done.applied == ("9001_pre_slow",), "the killed run's session has ended"


def test_a_migration_changed_after_it_was_applied_stops_everything(
    admin: psycopg.Connection, tmp_path: Path
) -> None:
    folders = files.write(tmp_path, "9001_pre_a", "CREATE TABLE a (id bigint PRIMARY KEY)")
    run.upgrade(folders=folders)
    files.write(tmp_path, "9001_pre_a", "CREATE TABLE a (id bigint PRIMARY KEY, more text)")
    files.write(tmp_path, "9002_pre_b", "CREATE TABLE b (id bigint PRIMARY KEY)", after="9001_pre_a")
    for attempt in (run.upgrade, run.plan):
        with pytest.raises(
            MigrationError, match=r"- 9001_pre_a: found \w{12}, expected \w{12}\nrestore the files"
        ):
            attempt(folders=folders)
    assert "b" not in tables(admin)


@pytest.mark.usefixtures("env")
def test_an_older_release_has_nothing_to_do_and_shows_what_came_after_it(tmp_path: Path) -> None:
    files.write(tmp_path, "9001_pre_a", "CREATE TABLE a (id bigint PRIMARY KEY)")
    folders = files.write(tmp_path, "9002_post_b", "DROP TABLE a", after="9001_pre_a", contracts=True)
    assert run.upgrade(folders=folders).applied == ("9001_pre_a", "9002_post_b")
    older = run.upgrade()
    assert (older.revision, older.applied) == ("9002_post_b", ())
    plan = run.plan()
    assert (plan.current, plan.head, plan.pending) == ("9002_post_b", REAL[-1], ())
    beyond = [(known.revision, known.contracts) for known in plan.revisions if not known.known]
    assert beyond == [("9001_pre_a", False), ("9002_post_b", True)]


@pytest.mark.usefixtures("env")
def test_phases_apply_their_part_and_the_plan_says_so(tmp_path: Path) -> None:
    files.write(tmp_path, "9001_post_old", "SELECT 1", contracts=True)
    files.write(tmp_path, "9002_pre_new", "SELECT 1", after="9001_post_old")
    folders = files.write(tmp_path, "9003_post_new", "SELECT 1", after="9002_pre_new", contracts=False)
    planned = [
        (pending.revision, pending.applies, pending.older_release)
        for pending in run.plan("pre", folders=folders).pending
    ]
    assert planned == [
        ("9001_post_old", True, True),
        ("9002_pre_new", True, False),
        ("9003_post_new", False, False),
    ]
    with pytest.raises(MigrationError, match="9002_pre_new is pending"):
        run.upgrade("post", folders=folders)
    assert run.upgrade("pre", folders=folders).applied == ("9001_post_old", "9002_pre_new")
    assert run.upgrade("pre", folders=folders).applied == ()
    assert run.upgrade("post", folders=folders, release="v2").applied == ("9003_post_new",)


@pytest.mark.usefixtures("env")
def test_tables_and_models_are_the_same() -> None:
    alembic.command.check(config())


@pytest.mark.usefixtures("env")
def test_a_new_migration_comes_from_the_template(tmp_path: Path) -> None:
    folders = (VERSIONS, tmp_path)
    alembic.command.revision(
        config(folders),
        "Do nothing",
        autogenerate=True,
        rev_id="9001_post_nothing",
        version_path=str(tmp_path),
    )
    assert chain.read(folders)[-1].name == "9001_post_nothing"
    assert run.upgrade(folders=folders).applied == ("9001_post_nothing",)


@pytest.mark.usefixtures("env")
def test_alembics_own_commands_apply_nothing() -> None:
    with pytest.raises(MigrationError, match="run `remotegpu server migrate`"):
        alembic.command.upgrade(config(), "head")
    with pytest.raises(MigrationError, match="run `remotegpu server migrate`"):
        alembic.command.stamp(config(), "base")


@pytest.fixture
def group(env: dict[str, str], admin: psycopg.Connection) -> Iterator[str]:
    """A group without login and two members of it, ``NAME_a`` and ``NAME_b``, as a rotation alternates them."""
    name = f"group_{env['DB_NAME']}"
    admin.execute(f"CREATE ROLE {name} NOLOGIN")
    admin.execute(f"GRANT CONNECT ON DATABASE {env['DB_NAME']} TO {name}")
    for login in (f"{name}_a", f"{name}_b"):
        admin.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'p' IN ROLE {name}")
    yield name
    admin.execute("RESET ROLE")
    admin.execute(f"DROP OWNED BY {name}")
    admin.execute(f"DROP ROLE {name}_a, {name}_b, {name}")


def test_two_login_roles_work_through_their_group(
    env: dict[str, str], admin: psycopg.Connection, group: str, tmp_path: Path
) -> None:
    folders = files.write(tmp_path, "9001_pre_a", "CREATE TABLE later (id bigint PRIMARY KEY)")
    with files.environment({"DB_APP_GROUP": group, "DB_USER": f"{group}_a"}):
        run.upgrade(folders=folders)
    admin.execute("SET ROLE remotegpu_owner")
    admin.execute("CREATE TABLE by_hand (id bigint PRIMARY KEY)")
    for login in (f"{group}_a", f"{group}_b"):
        with psycopg.connect(
            host=env["DB_HOST"],
            port=int(env["DB_PORT"]),
            dbname=env["DB_NAME"],
            user=login,
            password="p",
            sslmode="disable",
            autocommit=True,
        ) as connection:
            for table in ("later", "by_hand"):
                connection.execute(f"INSERT INTO {table} VALUES (%s)", [ord(login[-1])])
            connection.execute("UPDATE customers SET name = name")
            connection.execute("SELECT count(*) FROM schema_ledger")
            for forbidden in (
                "UPDATE audit_logs SET action = 'x'",
                "DELETE FROM schema_ledger",
                "UPDATE alembic_version SET version_num = 'x'",
                "CREATE TABLE mine (id bigint)",
                "DROP TABLE later",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(forbidden)


def test_the_release_is_this_version_unless_said(admin: psycopg.Connection, tmp_path: Path) -> None:
    run.upgrade(folders=files.write(tmp_path, "9001_pre_a", "SELECT 1"))
    last = admin.execute("SELECT applied_by FROM schema_ledger ORDER BY revision DESC LIMIT 1").fetchone()
    assert last == (__version__,)
