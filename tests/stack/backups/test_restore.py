"""Backups are made, found whole and brought back, while the site goes on writing."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stack.backups.bed import Bed

SECRETS = ("redis-password", "secret-of-the-store", "the-key-of-the-repository", "app-password")


@contextmanager
def writing(site: Bed) -> Iterator[None]:
    """The application writes all the time."""
    argv = ["docker", "exec", "--interactive", f"{site.name}-postgresql", "psql", "-Xq", "-d", "remotegpu"]
    writer = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert writer.stdin is not None
    writer.stdin.write(b"SET application_name = 'writer';\nINSERT INTO writes DEFAULT VALUES \\watch 0.02\n")
    writer.stdin.close()
    try:
        site.until(lambda: int(site.psql("remotegpu", "SELECT count(*) FROM writes")) > 0, "a write")
        yield
    finally:
        site.psql(
            "postgres",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'writer'",
        )
        writer.wait()


def test_each_kind_is_made_listed_and_found_whole(site: Bed) -> None:
    with writing(site):
        made = {each["kind"]: each for each in site.backups("run", "--why", "test")["backups"]}
    assert set(made) == {"database", "base", "redis", "objects"}
    database = made["database"]["database"]
    assert database["schema_revision"] == "0002_pre_session_credential"
    assert database["tables"]["public.customers"]["rows"] == 2000
    assert database["tables"]["public.writes"]["rows"] > 0
    assert {file["path"] for file in made["database"]["files"]} == {"database.dump", "globals.sql"}
    assert {file["path"] for file in made["redis"]["files"]} >= {
        "dump.rdb",
        "appendonlydir/appendonly.aof.manifest",
    }
    listed = site.backups("list")["backups"]
    assert {each["id"] for each in made.values()} <= {each["id"] for each in listed}
    verified = site.backups("verify")
    assert verified["ok"]
    assert {each["kind"] for each in verified["verified"]} == {"database", "base", "redis", "objects"}


def test_a_deleted_row_comes_back_from_the_moment_before(site: Bed) -> None:
    with writing(site):
        before = site.moment()
        site.psql("remotegpu", "DELETE FROM customers WHERE id = 7")
        restored = site.backups("restore", "--into", "rescued", "--at", before)["restored"]
    assert site.psql("rescued", "SELECT name FROM customers WHERE id = 7") == "customer 7"
    assert site.psql("remotegpu", "SELECT count(*) FROM customers WHERE id = 7") == "0"
    assert restored["schema_revision"] == "0002_pre_session_credential"
    assert site.psql("rescued", f"SELECT count(*) FROM writes WHERE at > '{before}'::timestamptz") == "0"
    swapped = site.backups("swap", "--into", "rescued")["swapped"]
    assert site.psql("remotegpu", "SELECT count(*) FROM customers") == "2000"
    assert site.psql(swapped["before"], "SELECT count(*) FROM customers") == "1999"
    back = site.backups("swap", "--into", swapped["before"])["swapped"]
    assert site.psql("remotegpu", "SELECT count(*) FROM customers") == "1999"
    assert "left behind" in site.backups("discard", "--database", "remotegpu", status=2)["error"]
    site.backups("discard", "--database", back["before"])
    assert (
        site.psql("postgres", f"SELECT count(*) FROM pg_database WHERE datname = '{back['before']}'") == "0"
    )


def test_the_application_can_work_in_a_restored_database_as_before(site: Bed) -> None:
    (dump,) = site.backups("run", "--kind", "database")["backups"]
    site.backups("restore", "--into", "copy", "--backup", dump["id"])
    facts = """
      SELECT pg_get_userbyid(datdba), (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) a), datcollate,
        (SELECT array_agg(setrole || array_to_string(setconfig, ',') ORDER BY setrole)
         FROM pg_db_role_setting WHERE setdatabase = oid) FROM pg_database WHERE datname =
    """
    assert site.psql("postgres", f"{facts} 'copy'") == site.psql("postgres", f"{facts} 'remotegpu'")
    as_app = ("env", "PGPASSWORD=app-password", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1")
    asked = "SHOW search_path; INSERT INTO customers (name) VALUES ('new') RETURNING id > 2000; SHOW statement_timeout"
    said = site.sh("postgresql", *as_app, "-U", "remotegpu_app_a", "-d", "copy", "-f", "-", stdin=asked)
    assert said.split() == ["public,", "pg_catalog", "t", "5min"]
    refused = site.attempt(
        "postgresql", *as_app, "-U", "remotegpu_app_a", "-d", "copy", "-c", "DELETE FROM audit_logs"
    )
    assert "permission denied" in refused.stderr


def test_swapping_ends_sessions_and_is_all_or_nothing(site: Bed) -> None:
    assert "found no database nothing" in site.backups("swap", "--into", "nothing", status=2)["error"]
    (dump,) = site.backups("run", "--kind", "database")["backups"]
    site.backups("restore", "--into", "next_one", "--backup", dump["id"])
    with writing(site):
        site.psql("postgres", "ALTER DATABASE next_one IS_TEMPLATE true")
        swapped = site.backups("swap", "--into", "next_one")["swapped"]
    assert site.psql("postgres", "SELECT datistemplate FROM pg_database WHERE datname = 'remotegpu'") == "t"
    site.psql("postgres", "ALTER DATABASE remotegpu IS_TEMPLATE false")
    site.backups("swap", "--into", swapped["before"])


def test_the_drill_passes_under_constant_writes_and_measures(site: Bed) -> None:
    site.backups("run", "--kind", "database")
    with writing(site):
        drill = site.backups("drill")["drill"]
        lag = site.backups("wal-status")
    assert drill["passed"]
    assert drill["dump"]["rows"] >= 2000
    assert 0 < drill["rto_s"] < 60
    assert 0 <= drill["rpo_s"] <= 75
    assert lag["exact"]
    assert not lag["failing"]
    assert {path.name for path in (site.root / "scratch").iterdir()} == {".lock"}
    kept = (site.root / f"backups/drills/{drill['id']}.json").read_text()
    assert drill["id"] in kept


def test_a_changed_audit_entry_makes_the_drill_fail(site: Bed) -> None:
    site.psql("remotegpu", "UPDATE audit_logs SET actor_name = 'nobody' WHERE id = 5")
    try:
        drill = site.backups("drill", status=1)["drill"]
    finally:
        site.psql("remotegpu", "UPDATE audit_logs SET actor_name = 'x' WHERE id = 5")
    assert not drill["passed"]
    assert "entry 5 was changed after it was sealed" in str(drill["moment"]["problems"])


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["restore", "--into", "x"], 2, "neither of --backup and --at"),
        (["restore", "--into", "x", "--at", "yesterday"], 2, "expected a moment with its zone"),
        (["restore", "--into", "x", "--at", "2020-01-01T00:00:00Z"], 1, "before the oldest moment"),
        (["restore", "--into", "x", "--at", "2099-01-01T00:00:00Z"], 1, "after the newest moment"),
        (["restore", "--into", "remotegpu", "--at", "2026-01-01T00:00:00Z"], 2, "expected a new name"),
        (["restore", "--into", "x; --", "--at", "2026-01-01T00:00:00Z"], 2, "at most 40"),
        (["restore", "--into", "x", "--backup", "none"], 2, "found no backup"),
        (["run", "--kind", "floppy"], 2, "expected all or one of"),
        (["verify", "none"], 2, "found no backup"),
    ],
)
def test_wrong_use_is_explained(site: Bed, arguments: list[str], status: int, said: str) -> None:
    assert said in site.backups(*arguments, status=status)["error"]
    assert (
        site.psql("postgres", "SELECT count(*) FROM pg_database WHERE datname ~ '^(x|remotegpu_restoring)'")
        == "0"
    )


def test_no_secret_shows_in_what_is_written_or_printed(site: Bed) -> None:
    printed = site.sh("backup", "remotegpu", "backups", "run", "--kind", "redis", "--json")
    written = [
        path.read_text(errors="replace")
        for path in (site.root / "backups").rglob("*")
        if path.is_file() and path.suffix in {".json", ".jsonl", ".sql"}
    ]
    assert any("CREATE ROLE remotegpu_app_a" in text for text in written)
    for text in (printed, *written):
        assert not [secret for secret in SECRETS if secret in text]
        assert not re.search(r"SCRAM-SHA-256\$", text)
