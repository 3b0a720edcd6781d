"""A site with data and backups, shared by tests that leave it as it was; and an own one for those that break it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from remotegpu.protocol.audit_trail import GENESIS, entry_hash
from stack.backups.bed import Bed
from stack.conftest import Images

TABLES = """
SET ROLE remotegpu_owner;
CREATE TABLE alembic_version (version_num text PRIMARY KEY);
INSERT INTO alembic_version VALUES ('0002_pre_session_credential');
CREATE TABLE customers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, at timestamptz DEFAULT now(), share numeric, seal bytea
);
INSERT INTO customers (name, share, seal)
  SELECT 'customer ' || i, i / 7.0, decode(md5(i::text), 'hex') FROM generate_series(1, 2000) i;
CREATE TABLE writes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz DEFAULT clock_timestamp());
CREATE TABLE audit_logs (
  id bigint PRIMARY KEY, at timestamptz, txid bigint, actor_id uuid, actor_name text, action text, outcome text,
  resource_type text, resource_id text, customer_id uuid, address text, request_id text, detail jsonb
);
CREATE TABLE audit_seals (seq bigint PRIMARY KEY, audit_id bigint UNIQUE, txid bigint, hash text);
GRANT SELECT, INSERT, UPDATE, DELETE ON customers, writes TO remotegpu_app;
GRANT SELECT, INSERT ON audit_logs TO remotegpu_app;
"""
ENTRIES = 20


def audit_trail() -> str:
    """A sealed one, as SQL."""
    previous, lines = GENESIS, ["SET ROLE remotegpu_owner;"]
    for number in range(1, ENTRIES + 1):
        at = datetime(2026, 11, 24, tzinfo=UTC) + timedelta(seconds=number, microseconds=number)
        entry = dict.fromkeys(("actor_name", "action", "outcome", "resource_type", "resource_id"), "x")
        row = entry | {"id": number, "at": at, "txid": number, "actor_id": None, "customer_id": None}
        row |= {"address": "", "request_id": "", "detail": {"n": number}}
        previous = entry_hash(previous, row)
        detail = msgspec.json.encode(row["detail"]).decode()
        values = (
            f"{number}, '{at.isoformat()}', {number}, NULL, 'x', 'x', 'x', 'x', 'x', NULL, '', '', '{detail}'"
        )
        lines.append(f"INSERT INTO audit_logs VALUES ({values});")
        lines.append(f"INSERT INTO audit_seals VALUES ({number}, {number}, {number}, '{previous}');")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def site(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """With a dump and a base backup."""
    yield from running(images, tmp_path_factory.mktemp("site"), objects=True)


@pytest.fixture
def own_site(images: Images, tmp_path: Path) -> Iterator[Bed]:
    """To break. Without an object store."""
    yield from running(images, tmp_path, objects=False)


def running(images: Images, root: Path, *, objects: bool) -> Iterator[Bed]:
    bed = Bed(root / "bed", postgresql=str(images.report["postgresql"]["id"]))
    try:
        bed.start(objects=objects)
        bed.psql("remotegpu", TABLES)
        bed.psql("remotegpu", audit_trail())
        bed.backups("run", "--kind", "database", "--why", "the first")
        (base,) = bed.backups("run", "--kind", "base")["backups"]
        bed.until_later_than(base["finished_at"])
        yield bed
    finally:
        bed.stop()
