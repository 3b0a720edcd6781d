"""First contact: a join token is exchanged for a per-node token.

``POST /api/v1/agent/enroll`` (no authentication but the join token itself).
``POST /api/v1/agent/token`` rotates the node token; the old one stays valid for ``overlap_s`` seconds.
"""

import msgspec

from remotegpu.protocol.bounds import Text
from remotegpu.protocol.inventory import Inventory


class EnrolRequest(msgspec.Struct, kw_only=True):
    """``join_token`` is the one-time or N-time secret an admin created; ``name`` defaults to the host name."""

    join_token: str
    name: Text
    protocol_version: Text
    agent_version: Text
    inventory: Inventory


class EnrolResponse(msgspec.Struct, kw_only=True):
    """``agent_token`` is shown once; the server keeps only its SHA-256."""

    machine_id: str
    agent_token: str


class TokenRotation(msgspec.Struct, kw_only=True):
    """The new node token, and for how many seconds the old one still works."""

    agent_token: str
    overlap_s: int
