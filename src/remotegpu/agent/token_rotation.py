"""Taking a new node token when the server asks for it."""

import asyncio
from typing import Protocol

import structlog

from remotegpu.agent.backoff import Backoff
from remotegpu.agent.client import TokenRefusedError
from remotegpu.agent.tasks.uplink import UplinkError
from remotegpu.agent.token_store import TokenStore
from remotegpu.protocol.enrolment import TokenRotation
from remotegpu.protocol.sync import DesiredState

log = structlog.get_logger()


class RotatingClient(Protocol):
    """The part of the client that rotation needs."""

    token: str

    async def rotate_token(self) -> TokenRotation:
        """Get the next token; the old one works on for a while."""
        ...


class TokenRotator:
    """Rotates once per request, in the background. The new token is on the disk before it is used."""

    def __init__(self, client: RotatingClient, tokens: TokenStore) -> None:
        self._client = client
        self._tokens = tokens
        self._rotating: asyncio.Task[None] | None = None
        self._asked = False

    def follow(self, desired: DesiredState) -> None:
        """Begin when the server starts to ask."""
        begins = desired.rotate_token and not self._asked
        self._asked = desired.rotate_token
        if begins and (self._rotating is None or self._rotating.done()):
            self._rotating = asyncio.create_task(self._rotate())

    async def close(self) -> None:
        """Let a rotation under way finish: the server may have counted it already."""
        if self._rotating is not None:
            await asyncio.wait([self._rotating], timeout=5.0)
            self._rotating.cancel()

    async def _rotate(self) -> None:
        backoff = Backoff(1.0, 60.0)
        while True:
            try:
                rotated = await self._client.rotate_token()
                await asyncio.to_thread(self._tokens.replace, rotated.agent_token)
            except (UplinkError, TokenRefusedError, OSError) as error:
                log.warning("node token not rotated", detail=str(error))
                await asyncio.sleep(backoff.next())
            else:
                self._client.token = rotated.agent_token
                log.info("node token rotated", old_token_valid_s=rotated.overlap_s)
                return
