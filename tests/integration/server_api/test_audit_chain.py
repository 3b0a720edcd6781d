"""The trail cannot be changed by the application, and a change made behind its back is found."""

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import text

from remotegpu.server import settings
from remotegpu.server.core.database import transaction
from remotegpu.server.core.services import Services, open_services
from remotegpu.server.domains.audit import service as audit
from services import Stack


@pytest_asyncio.fixture(loop_scope="session")
async def services(server_env: dict[str, str]) -> AsyncIterator[Services]:
    opened = open_services(settings.load(server_env))
    yield opened
    await opened.close()


async def write(services: Services, number: int) -> None:
    async with transaction(services.sessions) as tx:
        audit.record(tx, "test.act", "thing", number, detail={"number": number, "text": "文本 ✓"})


async def seal_everything(services: Services) -> int:
    """Seal until nothing is pending. Any transaction open in the cluster, of other tests too, delays it a little."""
    sealed = 0
    for _ in range(200):
        sealed += await audit.seal(services.sessions)
        if (await audit.verify(services.sessions)).pending == 0:
            return sealed
        await asyncio.sleep(0.05)
    raise AssertionError("entries stay unsealed")


def as_role(env: dict[str, str], user: str, password: str) -> psycopg.Connection:
    return psycopg.connect(
        host=env["DB_HOST"],
        port=env["DB_PORT"],
        dbname=env["DB_NAME"],
        user=user,
        password=password,
        autocommit=True,
    )


@pytest.mark.parametrize(("table", "column"), [("audit_logs", "actor_name"), ("audit_seals", "hash")])
async def test_neither_the_application_nor_the_owner_changes_the_trail(
    server_env: dict[str, str], services: Services, table: str, column: str
) -> None:
    await write(services, 1)
    await seal_everything(services)
    with as_role(server_env, server_env["DB_USER"], server_env["DB_PASSWORD"]) as app:
        for statement in (
            f"UPDATE {table} SET {column} = 'x'",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
            f"DROP TABLE {table}",
            f"ALTER TABLE {table} DISABLE TRIGGER ALL",
            f"DROP TRIGGER {table}_append_only ON {table}",
            "SET session_replication_role = replica",
            "DROP FUNCTION refuse_audit_change() CASCADE",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement)  # pyright: ignore[reportArgumentType]
    with as_role(server_env, server_env["DB_OWNER_USER"], server_env["DB_OWNER_PASSWORD"]) as owner:
        for statement in (f"UPDATE {table} SET {column} = 'x'", f"DELETE FROM {table}", f"TRUNCATE {table}"):
            with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
                owner.execute(statement)  # pyright: ignore[reportArgumentType]
    report = await audit.verify(services.sessions)
    assert (report.ok, report.sealed, report.pending) == (True, 1, 0)


TAMPERINGS = {
    "a changed word": ("UPDATE audit_logs SET actor_name = 'somebody else' WHERE id = 3", 3, "was changed"),
    "a changed detail": ("UPDATE audit_logs SET detail = '{\"number\": 7}' WHERE id = 3", 3, "was changed"),
    "a microsecond": (
        "UPDATE audit_logs SET at = at + interval '1 microsecond' WHERE id = 3",
        3,
        "was changed",
    ),
    "another transaction": ("UPDATE audit_logs SET txid = txid + 1000 WHERE id = 3", 3, "was changed"),
    "a removed entry": ("DELETE FROM audit_logs WHERE id = 3", 3, "was removed"),
    "a removed entry and its link": (
        "DELETE FROM audit_logs WHERE id = 3; DELETE FROM audit_seals WHERE audit_id = 3",
        3,
        "is missing",
    ),
    "the first entry and its link": (
        "DELETE FROM audit_logs WHERE id = 1; DELETE FROM audit_seals WHERE audit_id = 1",
        1,
        "is missing",
    ),
    "links closed up after a removal": (
        (
            "DELETE FROM audit_logs WHERE id = 3; DELETE FROM audit_seals WHERE audit_id = 3;"
            "UPDATE audit_seals SET seq = seq - 1 WHERE seq > 3"
        ),
        3,
        "was changed",
    ),
    "two entries that changed places": (
        (
            "UPDATE audit_seals SET audit_id = -1 WHERE seq = 2; UPDATE audit_seals SET audit_id = 2 WHERE seq = 3;"
            "UPDATE audit_seals SET audit_id = 3 WHERE seq = 2"
        ),
        2,
        "was changed",
    ),
    "an entry slipped in": (
        (
            "INSERT INTO audit_logs (id, at, txid, actor_name, action, outcome, resource_type, resource_id, address,"
            " request_id, detail) OVERRIDING SYSTEM VALUE SELECT 100, at, txid, 'x', action, outcome, resource_type,"
            " resource_id, address, request_id, detail FROM audit_logs WHERE id = 2"
        ),
        None,
        "not in the chain",
    ),
    "a changed link": ("UPDATE audit_seals SET hash = repeat('0', 64) WHERE seq = 4", 4, "was changed"),
}


@pytest.mark.parametrize("what", TAMPERINGS)
async def test_what_was_changed_behind_its_back_is_found(
    server_env: dict[str, str], services: Services, stack: Stack, what: str
) -> None:
    statements, bad, message = TAMPERINGS[what]
    for number in range(6):
        await write(services, number)
    assert await seal_everything(services) == 6
    assert (await audit.verify(services.sessions)).ok
    with stack.connect(server_env) as db:
        db.execute("SET session_replication_role = replica")
        for statement in statements.split(";"):
            db.execute(statement)  # pyright: ignore[reportArgumentType]
        db.commit()
    await write(services, 7)
    await audit.seal(services.sessions)
    report = await audit.verify(services.sessions)
    assert not report.ok
    assert report.first_bad_seq == bad
    assert message in report.detail


async def test_the_command_says_so_too(server_env: dict[str, str], services: Services, stack: Stack) -> None:
    for number in range(3):
        await write(services, number)
    await seal_everything(services)
    command = [sys.executable, "-m", "remotegpu.cli.main", "server", "audit-verify", "--json"]

    def verify() -> tuple[int, dict[str, Any]]:
        done = subprocess.run(
            command, env={**_plain_environment(), **server_env}, capture_output=True, check=False
        )
        return done.returncode, json.loads(done.stdout)

    status, report = await asyncio.to_thread(verify)
    assert (status, report["ok"], report["sealed"]) == (0, True, 3)
    with stack.connect(server_env) as db:
        db.execute("SET session_replication_role = replica")
        db.execute("DELETE FROM audit_logs WHERE id = 2")
        db.commit()
    status, report = await asyncio.to_thread(verify)
    assert (status, report["ok"], report["first_bad_seq"]) == (1, False, 2)


def _plain_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}


async def test_sealing_while_everybody_writes_never_breaks_the_chain(services: Services) -> None:
    """Parallel transactions of any length, some rolled back, one open for long, several sealers at once."""
    chance = random.Random(20261124)
    done = asyncio.Event()

    async def act(number: int, pause: float, *, fails: bool) -> int:
        await asyncio.sleep(chance.uniform(0, 0.3))
        async with transaction(services.sessions) as tx:
            audit.record(tx, "test.act", "thing", number)
            await tx.flush()
            await asyncio.sleep(pause)
            audit.record(tx, "test.act", "thing", number)
            await tx.flush()
            if fails:
                await tx.rollback()
        return 0 if fails else 2

    async def keep_sealing() -> None:
        while not done.is_set():
            await audit.seal(services.sessions)
            assert (await audit.verify(services.sessions)).ok
            await asyncio.sleep(0.01)

    async def open_for_long() -> int:
        async with transaction(services.sessions) as tx:
            audit.record(tx, "test.long", "thing", "first")
            await tx.flush()
            await asyncio.sleep(1.0)
            audit.record(tx, "test.long", "thing", "last")
        return 2

    sealers = [asyncio.create_task(keep_sealing()) for _ in range(2)]
    limit = asyncio.Semaphore(12)

    async def bounded(number: int) -> int:
        async with limit:
            return await act(number, chance.uniform(0, 0.05), fails=number % 5 == 0)

    written = sum(await asyncio.gather(open_for_long(), *(bounded(number) for number in range(150))))
    done.set()
    await asyncio.gather(*sealers)
    await seal_everything(services)
    report = await audit.verify(services.sessions)
    assert (report.ok, report.sealed, report.pending) == (True, written, 0), report
    async with services.sessions() as tx:
        order = await tx.execute(
            text(
                "SELECT l.txid, l.id FROM audit_seals s JOIN audit_logs l ON l.id = s.audit_id ORDER BY s.seq"
            )
        )
        sealed = [tuple(row) for row in order.all()]
    assert sealed == sorted(sealed)


async def test_an_open_transaction_delays_sealing_and_loses_nothing(services: Services) -> None:
    async with services.sessions() as early:
        audit.record(early, "test.early", "thing")
        await early.flush()
        await write(services, 1)
        assert await audit.seal(services.sessions) == 0, "an earlier transaction may still commit"
        report = await audit.verify(services.sessions)
        assert (report.ok, report.pending) == (True, 1)
        await early.commit()
    assert await seal_everything(services) == 2
    assert (await audit.verify(services.sessions)).ok
