"""A link of the chain depends on every column of its entry and on the link before."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import inspect

from remotegpu.kit.ids import uuid7
from remotegpu.server.domains.audit.models import AuditLog
from remotegpu.server.domains.audit.service import GENESIS, entry_hash

ENTRY: dict[str, Any] = {
    "id": 7,
    "at": datetime(2026, 11, 24, 6, 30, 0, 123_456, tzinfo=UTC),
    "txid": 1234,
    "actor_id": uuid7(),
    "actor_name": "li.wei@example.com",
    "action": "machine.change",
    "outcome": "allowed",
    "resource_type": "machine",
    "resource_id": "m1",
    "customer_id": uuid7(),
    "address": "192.0.2.1",
    "request_id": "req-1",
    "detail": {"name": "gpu-01", "文本": ["✓", 1, None]},
}
OTHER: dict[str, Any] = {
    "id": 8,
    "at": ENTRY["at"] + timedelta(microseconds=1),
    "txid": 1235,
    "actor_id": None,
    "customer_id": uuid7(),
    "detail": {"name": "gpu-01", "文本": ["✓", 1, 0]},
}


def test_every_column_is_covered() -> None:
    assert ENTRY.keys() == {column.key for column in inspect(AuditLog).columns}


@pytest.mark.parametrize("name", ENTRY)
def test_a_change_of_any_column_changes_the_link(name: str) -> None:
    changed = ENTRY | {name: OTHER.get(name, f"{ENTRY[name]}x")}
    assert entry_hash(GENESIS, AuditLog(**ENTRY)) != entry_hash(GENESIS, AuditLog(**changed))


def test_the_link_before_and_the_order_of_keys() -> None:
    same = ENTRY | {"detail": dict(reversed(ENTRY["detail"].items()))}
    assert entry_hash(GENESIS, AuditLog(**ENTRY)) == entry_hash(GENESIS, AuditLog(**same))
    assert entry_hash(GENESIS, AuditLog(**ENTRY)) != entry_hash("1" * 64, AuditLog(**ENTRY))


def test_columns_do_not_run_into_each_other() -> None:
    one = ENTRY | {"resource_type": "machine", "resource_id": "m1"}
    two = ENTRY | {"resource_type": "machinem", "resource_id": "1"}
    assert entry_hash(GENESIS, AuditLog(**one)) != entry_hash(GENESIS, AuditLog(**two))
