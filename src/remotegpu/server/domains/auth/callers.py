"""Who is behind a token: looked up once, and remembered for the moment in which a page asks for much at once."""

import contextlib
from collections.abc import Generator

import structlog
from redis.exceptions import RedisError

from remotegpu.kit.clock import utc_now
from remotegpu.kit.ids import secret_hash
from remotegpu.server.core.context import Caller
from remotegpu.server.core.database import transaction
from remotegpu.server.core.errors import NotAuthenticatedError, RemoteGPUError
from remotegpu.server.core.recent import Recent
from remotegpu.server.core.services import Services
from remotegpu.server.domains.auth import credentials, refresh, service, tickets

REMEMBER_SECONDS = 1.0
REMEMBER_MOST = 10_000
CHANGES = ("people", "customers")
"""Hub topics after which somebody may not be let in any more: a sign-out, a new password, a suspended company."""

log = structlog.get_logger()


class Callers:
    """Authenticates people. One per process."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._recent: Recent[str, tuple[Caller, float]] = Recent(REMEMBER_SECONDS, REMEMBER_MOST)

    async def of_token(self, token: str) -> Caller:
        """The person behind an access JWT or a personal access token. Raises :class:`NotAuthenticatedError`."""
        caller, ends_at = await self._recent.get(secret_hash(token), lambda: self._look_up(token))
        if ends_at <= utc_now().timestamp():
            caller, _ = await self._look_up(token)  # says what to do about it
        return caller

    async def of_ticket(self, ticket: str, path: str) -> Caller:
        """The person behind a one-use WebSocket ticket."""
        grant = await tickets.redeem(self._services.redis, ticket, path)
        async with self._services.sessions() as tx:
            user, _ = await service.user_of_session(tx, grant.user_id)
            if not await credentials.is_valid(self._services, tx, grant.credential):
                raise NotAuthenticatedError("the session has ended; sign in again", code="session_ended")
            return service.as_caller(user, "ticket", grant.credential)

    @contextlib.contextmanager
    def listening(self) -> Generator[None]:
        """Forget everybody as soon as any server process says that somebody's access has changed."""
        with self._services.hub.listening_to(CHANGES, self._recent.forget):
            yield

    async def _look_up(self, token: str) -> tuple[Caller, float]:
        """Who it is, and until when (epoch seconds) the token says so."""
        if token.startswith(service.TOKEN_PREFIX):
            async with transaction(self._services.sessions) as tx:
                user, row = await service.user_of_token(tx, token)
                caller = service.as_caller(user, "token", credentials.of_token(row.id))
                return caller, row.expires_at.timestamp()
        verified = self._services.tokens.verify(token)
        if not await refresh.is_alive(self._services.redis, verified.family):
            raise NotAuthenticatedError("the session has ended; sign in again", code="session_ended")
        async with self._services.sessions() as tx:
            user, _ = await service.user_of_session(tx, verified.user_id)
            caller = service.as_caller(user, "session", credentials.of_session(verified.family))
            return caller, verified.ends_at


async def is_let_in(services: Services, caller: Caller) -> bool:
    """Whether somebody who was let in earlier still would be.

    A cache that is away ends nothing: without it nobody can sign out either, and it is asked again soon.
    """
    async with services.sessions() as tx:
        try:
            user, _ = await service.user_of_session(tx, caller.user_id)
            return not user.must_change_password and await credentials.is_valid(
                services, tx, caller.credential
            )
        except RemoteGPUError:
            return False
        except RedisError as error:
            log.warning("cannot see whether a session goes on", error=str(error))
            return True
