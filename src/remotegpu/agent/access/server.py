"""The SSH server of one stream: who may come in, and which kinds of channel they get."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import structlog

from remotegpu.agent.access import host_key
from remotegpu.agent.access.authorization import authorized_keys, credential_of
from remotegpu.agent.access.credential import Credential
from remotegpu.agent.access.forwarding import check_target, forward
from remotegpu.agent.access.guests import Guest, Guests
from remotegpu.agent.access.launch import Launcher
from remotegpu.agent.access.program import Program, ProgramError, Request
from remotegpu.agent.access.session import AccessSession
from remotegpu.agent.access.transport import AgentStream
from remotegpu.agent.accounts import AccountIdentity
from remotegpu.protocol.streams import CLOSE_ACCESS_ENDED

_LOG = structlog.get_logger(__name__)
LOGIN_PATIENCE_S = 30
KEEPALIVE_S = 30
# AES-GCM runs in OpenSSL's assembly; ChaCha20-Poly1305 costs two calls per packet and is what OpenSSH would choose
# if it were offered. CTR with an encrypt-then-MAC stays for clients that know no GCM.
_CIPHERS = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr"]
_MACS = ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"]


@dataclass(frozen=True, slots=True)
class Services:
    """What a connection needs. ``lookup`` finds the account on the host; it may be None while it is made."""

    guests: Guests
    launcher: Launcher
    lookup: Callable[[str], AccountIdentity | None]


async def connection_options(key: asyncssh.SSHKey) -> asyncssh.SSHServerConnectionOptions:
    """The same for every connection; made once, because it reads and checks a lot."""
    return await asyncssh.SSHServerConnectionOptions.construct(
        server_host_keys=[key],
        encryption_algs=_CIPHERS,
        mac_algs=_MACS,
        compression_algs=None,
        password_auth=False,
        kbdint_auth=False,
        host_based_auth=False,
        gss_host=None,
        agent_forwarding=False,
        x11_forwarding=False,
        line_editor=False,
        encoding=None,
        login_timeout=LOGIN_PATIENCE_S,
        keepalive_interval=KEEPALIVE_S,
        keepalive_count_max=4,
    )


@dataclass(frozen=True, slots=True)
class SshServer:
    """Everything that connections share."""

    services: Services
    shared: asyncssh.SSHServerConnectionOptions

    async def serve(self, transport: AgentStream) -> None:
        """Speak SSH over ``transport`` until either side ends."""
        server = AccessServer(self.services, transport)
        options = await asyncssh.SSHServerConnectionOptions.construct(
            self.shared, server_factory=lambda: server
        )
        connection = AccessConnection(options)
        connection.connection_made(transport)
        await transport.run(connection)


async def open_server(
    *, data_dir: Path, guests: Guests, launcher: Launcher, lookup: Callable[[str], AccountIdentity | None]
) -> SshServer:
    """The server with the host key in ``data_dir``."""
    shared = await connection_options(host_key.load_or_create(data_dir))
    return SshServer(Services(guests=guests, launcher=launcher, lookup=lookup), shared)


class AccessConnection(asyncssh.SSHServerConnection):
    """asyncssh's connection, which also remembers with what the client proved who it is."""

    def __init__(self, options: asyncssh.SSHServerConnectionOptions) -> None:
        super().__init__(asyncio.get_running_loop(), options)
        self.credential: Credential | None = None

    async def validate_public_key(self, username: str, key_data: bytes, msg: bytes, signature: bytes) -> bool:
        """Called first without, then with a signature; only the latter proves anything."""
        self.credential = None
        valid = await super().validate_public_key(username, key_data, msg, signature)
        if valid and msg:
            self.credential = credential_of(key_data)
        return valid


class AccessServer(asyncssh.SSHServer):
    """Decides for one connection. Also what the guest list cuts."""

    def __init__(self, services: Services, transport: AgentStream) -> None:
        self._services = services
        self._transport = transport
        self._connection: AccessConnection | None = None
        self._guest: Guest | None = None
        self._sessions: set[AccessSession] = set()

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        assert isinstance(conn, AccessConnection)
        self._connection = conn

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — the reason changes nothing
        self._leave()
        self._connection = None
        self._transport.close()

    # -- signing in -----------------------------------------------------------------------------------------------

    def begin_auth(self, username: str) -> bool:
        """Load what this account accepts. Called anew when the client changes the name it asks for."""
        assert self._connection is not None
        self._leave()
        self._guest = Guest(connection=self, account=username)
        self._services.guests.present.add(self._guest)
        account = self._services.guests.accounts.get(username)
        keys = authorized_keys(account, self._services.guests.ca_keys) if account is not None else None
        self._connection.set_authorized_keys(keys or asyncssh.SSHAuthorizedKeys())
        return True

    def public_key_auth_supported(self) -> bool:
        """Also for unknown accounts, so that they cannot be told from known ones."""
        return True

    def auth_completed(self) -> None:
        assert self._connection is not None
        assert self._guest is not None
        self._guest.credential = self._connection.credential
        account = self._services.guests.accounts.get(self._guest.account)
        if account is None or self._guest.credential is None:
            self.cut("the account is not leased")
            return
        _LOG.info("signed_in", account=account.name, identity=self._guest.credential.identity)

    def _leave(self) -> None:
        if self._guest is not None:
            self._services.guests.present.discard(self._guest)
            self._guest = None

    # -- channels -------------------------------------------------------------------------------------------------

    def session_requested(self) -> tuple[asyncssh.SSHServerChannel[bytes], AccessSession]:
        assert self._connection is not None
        session = AccessSession(self._launch, self._sessions.discard)
        self._sessions.add(session)
        return self._connection.create_server_channel(encoding=None), session

    def connection_requested(
        self,
        dest_host: str,
        dest_port: int,
        orig_host: str,  # noqa: ARG002 — who asks is known by the certificate
        orig_port: int,  # noqa: ARG002 — same
    ) -> Awaitable[asyncssh.SSHTCPSession[bytes]]:
        check_target(dest_host)
        return forward(dest_host, dest_port)

    async def _launch(self, request: Request, session: AccessSession) -> Program:
        guest = self._guest
        if guest is None or guest.credential is None:
            raise ProgramError("access has ended")
        account = self._services.lookup(guest.account)
        if account is None:
            raise ProgramError("the account is still being prepared on this machine; try again in a moment")
        return await self._services.launcher.start(
            request, session, account=account, credential=guest.credential
        )

    def cut(self, reason: str) -> None:
        """Access has ended: kill what runs, tell the other side not to come back, close."""
        for session in list(self._sessions):
            session.kill()
        self._leave()
        if self._connection is not None:
            self._connection.abort()
        self._transport.end(CLOSE_ACCESS_ENDED, reason)
