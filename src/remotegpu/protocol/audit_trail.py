"""How the audit trail is sealed: what a link of its hash chain covers, for whoever checks a copy of the tables."""

import hashlib
import uuid
from collections.abc import Mapping
from datetime import datetime

import msgspec

GENESIS = "0" * 64
"""What the first link follows."""

SEALED_COLUMNS = (
    "id",
    "at",
    "txid",
    "actor_id",
    "actor_name",
    "action",
    "outcome",
    "resource_type",
    "resource_id",
    "customer_id",
    "address",
    "request_id",
    "detail",
)
"""Columns of ``audit_logs`` under the seal. One that is added later stays outside, or old links would not hold."""


def entry_hash(previous: str, entry: Mapping[str, object]) -> str:
    """SHA-256 in hex over the previous hash and the sealed columns in canonical JSON (sorted keys, UTC times)."""
    content = {column: _canonical(entry[column]) for column in SEALED_COLUMNS}
    return hashlib.sha256(previous.encode() + msgspec.json.encode(content, order="sorted")).hexdigest()


def _canonical(value: object) -> object:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, uuid.UUID):
        return str(value)
    return "" if value is None else value
