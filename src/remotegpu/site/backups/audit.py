"""The hash chain of the audit trail, checked in a restored copy: an entry that was changed or removed shows."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from remotegpu.protocol.audit_trail import GENESIS, SEALED_COLUMNS, entry_hash
from remotegpu.site.backups import postgres

BATCH = 5000
LINKS = sql.SQL(
    "SELECT s.seq AS link_seq, s.audit_id AS link_audit_id, s.hash AS link_hash, {columns}"
    " FROM public.audit_seals s LEFT JOIN public.audit_logs l ON l.id = s.audit_id ORDER BY s.seq"
).format(columns=sql.SQL(", ").join(sql.Identifier("l", name) for name in SEALED_COLUMNS))


class Chain(msgspec.Struct, kw_only=True, frozen=True):
    """``sealed``: links that hold. ``problem``: empty when all do."""

    sealed: int
    problem: str


def check(connected: psycopg.Connection) -> Chain | None:
    """None where there is no audit trail."""
    if not postgres.text(connected, "SELECT to_regclass('public.audit_seals')"):
        return None
    connected.execute("SET TimeZone = 'UTC'")
    with connected.transaction(), connected.cursor("audit_chain", row_factory=dict_row) as cursor:
        cursor.itersize = BATCH
        cursor.execute(LINKS)
        return follow(cursor)


def follow(links: Iterator[Mapping[str, Any]]) -> Chain:  # Any: columns of several types
    """Pure."""
    checked, previous = 0, GENESIS
    for link in links:
        problem = _problem(checked + 1, previous, link)
        if problem:
            return Chain(sealed=checked, problem=problem)
        checked, previous = link["link_seq"], link["link_hash"]
    return Chain(sealed=checked, problem="")


def _problem(seq: int, previous: str, link: Mapping[str, Any]) -> str:  # Any: same
    if link["link_seq"] != seq:
        return f"link {seq} is missing, found {link['link_seq']}"
    if link["id"] is None:
        return f"entry {link['link_audit_id']} was removed after it was sealed"
    if entry_hash(previous, link) != link["link_hash"]:
        return f"entry {link['link_audit_id']} was changed after it was sealed"
    return ""
