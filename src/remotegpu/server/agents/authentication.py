"""Node tokens: which machine is calling, looked up once and remembered for a short while."""

import contextlib
import time
import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass

from remotegpu.kit.clock import utc_now
from remotegpu.kit.ids import secret_hash
from remotegpu.protocol.version import PROTOCOL_VERSION, is_compatible
from remotegpu.server.core import context
from remotegpu.server.core.errors import NotAuthenticatedError, UpgradeRequiredError
from remotegpu.server.core.hub import Message
from remotegpu.server.core.services import Services
from remotegpu.server.domains.auth.middleware import bearer
from remotegpu.server.domains.machines import service as machines
from remotegpu.server.domains.machines import tokens

REMEMBER_SECONDS = 300.0
"""A revoked token is forgotten at once where the message of it arrives, and after this long where that was lost.

Little depends on it: each poll asks whether its machine still exists, and a rotated token keeps its own, known end.
"""
REMEMBER_MOST = 20_000


@dataclass(frozen=True)
class Node:
    machine_id: uuid.UUID
    name: str


class Nodes:
    """Authenticates agents. One per process."""

    def __init__(self, services: Services, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._monotonic = monotonic
        self._known: dict[str, tuple[Node, float]] = {}

    async def authenticate(self, authorization: str | None) -> Node:
        """The machine behind the header. Raises :class:`NotAuthenticatedError`."""
        token = bearer(authorization)
        if token is None:
            raise NotAuthenticatedError(
                "agents send Authorization: Bearer NODE_TOKEN", code="node_token_refused"
            )
        digest = secret_hash(token)
        known = self._known.get(digest)
        if known is None or known[1] < self._monotonic():
            known = await self._look_up(digest, token)
        context.current().machine_id = known[0].machine_id
        return known[0]

    @contextlib.contextmanager
    def listening(self) -> Generator[None]:
        """Forget a machine's tokens as soon as any server process says that they have changed."""
        topic = machines.TOKENS_TOPIC
        with self._services.hub.listening(topic, machines.ALL_TOKENS, self._forget):
            yield

    def _forget(self, message: Message) -> None:
        self._known = {
            digest: entry for digest, entry in self._known.items() if str(entry[0].machine_id) != message.body
        }

    async def _look_up(self, digest: str, token: str) -> tuple[Node, float]:
        self._known.pop(digest, None)
        async with self._services.sessions() as tx:
            machine_id, name, expires_at = await tokens.machine_of_token(tx, token)
        if len(self._known) >= REMEMBER_MOST:
            self._known.clear()
        left = REMEMBER_SECONDS if expires_at is None else (expires_at - utc_now()).total_seconds()
        entry = (Node(machine_id, name), self._monotonic() + min(left, REMEMBER_SECONDS))
        self._known[digest] = entry
        return entry


def check_version(theirs: str) -> None:
    """Raise :class:`UpgradeRequiredError` for an agent this server cannot work with, saying which to install."""
    try:
        compatible = is_compatible(theirs)
    except ValueError:
        compatible = False
    if not compatible:
        raise UpgradeRequiredError(
            f"this agent speaks protocol {theirs[:20]!r}, this server {PROTOCOL_VERSION} and neighbours by one minor"
            " version; install the agent release that belongs to this server",
            code="agent_protocol_unsupported",
        )
