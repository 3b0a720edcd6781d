"""``POST /api/v1/agent/sync``: heartbeat, lease renewal, task claim and reconfiguration in one long-poll.

The agent sends what *is* and the revision it has applied; the server answers with what *should be* as soon as the
revision differs, else after at most ``SYNC_WAIT_S`` with ``desired = None``. Level-triggered: a lost wake-up costs
one poll. A report with news (``wait=False``) is answered at once.
"""

import msgspec

from remotegpu.protocol.attempts import AttemptReport, AttemptSpec
from remotegpu.protocol.bounds import Revision, Text
from remotegpu.protocol.inventory import HostSample, Inventory

SYNC_WAIT_S = 25.0
"""Longest time the server holds a poll."""


class AccountSpec(msgspec.Struct, kw_only=True, frozen=True):
    """A customer's account on the machine while leased. ``authorized_keys`` are OpenSSH public key lines.

    ``principals``: certificate principals accepted for this account, besides the keys.
    """

    name: str
    allocation_id: str
    authorized_keys: list[str] = []
    principals: list[str] = []


class AccountReport(msgspec.Struct, kw_only=True, frozen=True):
    """``state``: ``present``, ``absent`` (wiped and proven) or ``failed`` with what was found in ``detail``."""

    name: str
    allocation_id: str
    state: str
    detail: str = ""


class StreamSpec(msgspec.Struct, kw_only=True, frozen=True):
    """A byte channel to dial: ``GET {path}`` as a WebSocket on the server's URL (the path carries ``via=``).

    ``target``: ``ssh`` is the SSH server inside the agent.
    """

    stream_id: str
    path: str
    target: str = "ssh"


class AccountCleanup(msgspec.Struct, kw_only=True, frozen=True):
    """An account whose lease has ended: kill its processes, wipe it, prove it, report ``absent``."""

    name: str
    allocation_id: str


class DesiredState(msgspec.Struct, kw_only=True, frozen=True):
    """All that one machine should be. Small, whole, idempotent: the agent reconciles against it.

    An attempt missing here that the agent still has is stopped and forgotten; an account in neither list is wiped.
    ``ssh_ca_keys``: OpenSSH public keys of the server's user CA; several during a rotation.
    ``sample_interval_s``: how often to send :class:`HostSample` (short while somebody watches).
    ``rotate_token``: fetch a new node token now (``POST /api/v1/agent/token``) and use it from then on.
    """

    revision: int
    accounts: list[AccountSpec] = []
    cleanups: list[AccountCleanup] = []
    attempts: list[AttemptSpec] = []
    streams: list[StreamSpec] = []
    ssh_ca_keys: list[str] = []
    maintenance: bool = False
    sample_interval_s: float = 15.0
    rotate_token: bool = False
    lease_s: int = 300


class SyncRequest(msgspec.Struct, kw_only=True, frozen=True):
    """What *is*. ``inventory`` only when it changed since it was last acknowledged (``inventory_hash``).

    ``wait=False`` asks for an immediate answer (the agent has another report to make soon).
    ``boot_id`` changes with every agent process, so that the server sees restarts.
    ``clock`` is the agent's clock at sending, epoch seconds: the server records the skew, and never trusts it.
    """

    agent_version: Text
    protocol_version: Text
    boot_id: Text
    applied_revision: Revision
    clock: float
    wait: bool = True
    inventory: Inventory | None = None
    inventory_hash: Text = ""
    sample: HostSample | None = None
    accounts: list[AccountReport] = []
    attempts: list[AttemptReport] = []


class SyncResponse(msgspec.Struct, kw_only=True):
    """``desired`` is None when the agent's revision is current. ``want_inventory``: the server lacks it, send it.

    ``refused_attempts``: attempts whose report was refused (lease lost, superseded): stop and forget them.
    """

    desired: DesiredState | None = None
    want_inventory: bool = False
    refused_attempts: list[str] = []
