"""Bringing data back on a real site: exactly what went, and nothing touched where that cannot be done."""

import signal
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from stack.site import people
from stack.site.bed import Site
from stack.site.people import Account, Session

TABLES = {
    "users": "*",
    "customers": "*",
    "machines": "id, name, created_at",  # a GPU host that is alive writes the rest anew all the time
    "allocations": "*",
    "tasks": "*",
    "audit_logs": "*",
    "join_tokens": "*",
}


def contents(site: Site) -> dict[str, str]:
    """A checksum of each table's rows, whatever their order."""
    each = (
        f"SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM (SELECT {what} FROM {name}) t"
        for name, what in TABLES.items()
    )
    return dict(zip(TABLES, site.psql(";".join(each)).splitlines(), strict=True))


def new_customer(site: Site, admin: Session, code: str) -> str:
    body = {"company_code": code, "name": f"Customer {code}"}
    return site.door.ask("POST", "/api/v1/customers", body, token=admin.access_token)["id"]


def customers(site: Site) -> set[str]:
    return set(site.psql("SELECT company_code FROM customers").split())


def moment(site: Site) -> datetime:
    """On the database's clock, after everything that was committed."""
    return datetime.fromisoformat(site.psql("SELECT now()")).astimezone(UTC)


def databases(site: Site) -> set[str]:
    return set(site.psql("SELECT datname FROM pg_database").split())


def test_a_deleted_customer_comes_back_and_nothing_else_changes(
    site: Site, serving: str, admin: Session, administrator: Account
) -> None:
    assert serving
    new_customer(site, admin, "to-lose")
    time.sleep(1.1)  # the moment a second before the loss is one at which it was there
    before = contents(site)
    lost_at = moment(site)
    site.psql("DELETE FROM customers WHERE company_code = 'to-lose'")
    assert "to-lose" not in customers(site)
    done = site.do("restore", "--at", (lost_at - timedelta(milliseconds=100)).isoformat(), "--yes", "--json")
    assert contents(site) == before
    assert site.door.answers()
    assert done.json["restored"]["before"] in databases(site), "what was there is kept"
    session = people.sign_in(site, administrator)
    new_customer(site, session, "after-it")  # the application may write in it
    assert "after-it" in customers(site)


def test_a_backup_comes_back(site: Site, serving: str, admin: Session) -> None:
    assert serving
    before = contents(site)
    made = site.do("backup", "--kind=database", "--why=test", "--json").json["backups"][0]["id"]
    new_customer(site, admin, "too-late")
    site.do("restore", "--backup", made, "--yes")
    found = contents(site)
    assert {name: found[name] for name in found if name != "audit_logs"} == {
        name: before[name] for name in before if name != "audit_logs"
    }
    assert site.door.answers()


def test_a_copy_to_look_at_leaves_the_site_alone(site: Site, serving: str) -> None:
    assert serving
    made = site.do("backup", "--kind=database", "--json").json["backups"][0]["id"]
    before = contents(site)
    site.do("restore", "--backup", made, "--into", "to_look_at")
    try:
        assert contents(site) == before
        assert "to_look_at" in databases(site)
    finally:
        site.compose("exec", "--no-TTY", "postgresql", "dropdb", "-U", "postgres", "to_look_at")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "found neither --backup nor --at"),
        (("--backup", "x", "--at", "2026-01-01T00:00:00Z", "--yes"), 2, "both"),
        (("--at", "yesterday", "--yes"), 2, "expected a moment with its zone"),
        (("--at", "2001-01-01T00:00:00Z", "--yes"), 1, "before the oldest moment that can be restored"),
        (("--at", "2101-01-01T00:00:00Z", "--yes"), 1, "after the newest"),
        (("--backup", "20010101T000000Z-nothing", "--yes"), 1, "20010101T000000Z-nothing"),
        (("--backup", "x"), 2, "pass --yes"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_touched(
    site: Site, serving: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    assert serving
    before, names, journal = contents(site), databases(site), site.journal()
    done = site.try_to("restore", *arguments)
    assert done.code == code
    assert said in done.said + done.output
    assert (contents(site), databases(site)) == (before, names)
    assert site.journal() == journal, "there is nothing to go on from, and nothing for the status to warn of"
    assert site.door.answers()


def test_a_damaged_backup_is_refused_before_anything_starts(site: Site, serving: str) -> None:
    assert serving
    made = site.do("backup", "--kind=database", "--json").json["backups"][0]["id"]
    dump = next((site.directory / "backups/postgresql" / made).glob("*.dump"))
    content = bytearray(dump.read_bytes())
    content[len(content) // 2] ^= 0xFF
    dump.write_bytes(content)
    before = contents(site)
    done = site.try_to("restore", "--backup", made, "--yes")
    assert done.code == 1
    assert "damaged" in done.said
    assert contents(site) == before
    assert site.door.answers()


@pytest.mark.parametrize(("step", "state"), [("fence", "begun"), ("swap", "begun"), ("start", "begun")])
def test_a_restore_that_was_killed_leaves_one_whole_database_and_the_next_command_serves_it(
    site: Site, serving: str, step: str, state: str
) -> None:
    assert serving
    made = site.do("backup", "--kind=database", "--json").json["backups"][0]["id"]
    before = contents(site)
    killing = [sys.executable, "-m", "stack.site.killed", "restore", step, state]
    command = ["site", "restore", "--backup", made, "--yes", f"--config={site.config}"]
    assert site.finish(site.start([*killing, *command])).code == -signal.SIGKILL
    assert "cut short" in site.try_to("status").output
    site.do("restore", "--backup", made, "--yes")
    assert contents(site) == before
    assert site.door.answers()


def test_the_drill_passes(site: Site, serving: str) -> None:
    assert serving
    drill = site.do("drill", "--json").json["drill"]
    assert drill["passed"]
    assert drill["rto_s"] > 0
    assert 0 <= drill["rpo_s"] <= 90
    assert site.door.answers()
