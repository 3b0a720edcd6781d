"""An agent's access gateway, a relay in front of it, a CA, and people with keys."""

import asyncio
import contextlib
import os
import pwd
import secrets
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncssh

from integration.agent_access.relay import Relay
from remotegpu.agent.access.gateway import AccessGateway
from remotegpu.agent.accounts import AccountIdentity
from remotegpu.protocol.sync import AccountSpec, DesiredState, StreamSpec

ACME = f"acme-{secrets.token_hex(3)}"
"""An account of this test process alone: a wipe in directory isolation finds processes host-wide by this name."""
CA = asyncssh.generate_private_key("ssh-ed25519")
OTHER_CA = asyncssh.generate_private_key("ssh-ed25519")


def line(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode().strip()


def account(name: str = ACME, *, keys: Sequence[asyncssh.SSHKey] = (), allocation: str = "a1") -> AccountSpec:
    return AccountSpec(
        name=name,
        allocation_id=allocation,
        authorized_keys=[line(key) for key in keys],
        principals=[f"allocation:{allocation}"],
    )


class KnownAccounts:
    """Accounts in directories below ``root``; ``as_user`` makes one a real Linux user."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._users: dict[str, str] = {}

    def as_user(self, name: str, user: str) -> None:
        self._users[name] = user

    def lookup(self, name: str) -> AccountIdentity | None:
        home = self._root / name
        home.mkdir(parents=True, exist_ok=True)
        # A quiet shell, so that a test reads outputs and not prompts and echoes.
        (home / ".bash_profile").write_text("set +o emacs; stty -echo 2>/dev/null; PS1=''\n")
        user = self._users.get(name)
        if user is None:
            return AccountIdentity(name=name, uid=None, gid=None, home=home)
        entry = pwd.getpwnam(user)
        os.chown(home, entry.pw_uid, entry.pw_gid)
        return AccountIdentity(name=name, uid=entry.pw_uid, gid=entry.pw_gid, home=home)


@dataclass
class World:
    """Everything a test talks to."""

    gateway: AccessGateway
    relay: Relay
    accounts: KnownAccounts
    folder: Path
    people: list[AccountSpec] = field(default_factory=list[AccountSpec])
    ca_keys: list[asyncssh.SSHKey] = field(default_factory=lambda: [CA])
    revision: int = 0

    def apply(self, streams: list[StreamSpec] | None = None) -> None:
        self.revision += 1
        self.gateway.apply(
            DesiredState(
                revision=self.revision,
                accounts=self.people,
                streams=self.relay.streams if streams is None else streams,
                ssh_ca_keys=[line(key) for key in self.ca_keys],
            )
        )

    def ssh_options(self, key: Path, *extra: str) -> list[str]:
        known_hosts = self.folder / "known_hosts"
        known_hosts.write_text(f"[127.0.0.1]:{self.relay.tcp_port} {self.gateway.host_key}\n")
        options = [
            f"UserKnownHostsFile={known_hosts}",
            "StrictHostKeyChecking=yes",
            "IdentitiesOnly=yes",
            f"IdentityFile={key}",
            "BatchMode=yes",
            "ConnectTimeout=15",
            "LogLevel=ERROR",
            *extra,
        ]
        return ["-F", "none", *(part for option in options for part in ("-o", option))]

    async def ssh(self, key: Path, *command: str, user: str = ACME, extra: Sequence[str] = ()) -> "Done":
        return await run(
            "ssh",
            *self.ssh_options(key, *extra),
            "-p",
            str(self.relay.tcp_port),
            f"{user}@127.0.0.1",
            *command,
        )

    async def connect(
        self, key: asyncssh.SSHKey, *, user: str = ACME, **more: object
    ) -> asyncssh.SSHClientConnection:
        """As the server's browser terminal connects."""
        return await asyncssh.connect(
            "127.0.0.1",
            self.relay.tcp_port,
            username=user,
            client_keys=[(key, more.pop("certificate"))] if "certificate" in more else [key],
            known_hosts=([asyncssh.import_public_key(self.gateway.host_key)], [], []),
            config=None,
            agent_path=None,
            **more,
        )


@dataclass
class Done:
    code: int
    out: bytes
    err: str


async def run(*argv: str, stdin: bytes | None = None) -> Done:
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(stdin), 60)
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode is not None
    return Done(process.returncode, out, err.decode(errors="replace"))


def write_key(folder: Path, name: str, key: asyncssh.SSHKey) -> Path:
    path = folder / name
    path.touch(mode=0o600)
    path.write_bytes(key.export_private_key("openssh"))
    return path


def certify(
    key: asyncssh.SSHKey,
    *,
    ca: asyncssh.SSHKey = CA,
    key_id: str = "user-1",
    principals: Sequence[str] = ("allocation:a1",),
    starts_in_s: int = -60,
    ends_in_s: int = 300,
) -> asyncssh.SSHCertificate:
    now = int(time.time())
    return ca.generate_user_certificate(
        key, key_id, principals=list(principals), valid_after=now + starts_in_s, valid_before=now + ends_in_s
    )


def write_certificate(key_file: Path, certificate: asyncssh.SSHCertificate) -> Path:
    """Next to the key, where OpenSSH looks for it."""
    path = key_file.with_name(f"{key_file.name}-cert.pub")
    path.write_bytes(certificate.export_certificate("openssh"))
    return path


@contextlib.asynccontextmanager
async def running_world(folder: Path) -> AsyncIterator[World]:
    relay = Relay()
    await relay.start()
    accounts = KnownAccounts(folder / "homes")
    async with aiohttp.ClientSession() as http:

        async def dial(path: str) -> aiohttp.ClientWebSocketResponse:
            return await http.ws_connect(f"{relay.url}{path}", compress=0)

        gateway = AccessGateway(data_dir=folder / "data", accounts=accounts, dial=dial)
        await gateway.start()
        world = World(gateway=gateway, relay=relay, accounts=accounts, folder=folder)
        relay.on_streams = world.apply
        try:
            yield world
        finally:
            await asyncio.gather(*(world.gateway.close_account(spec.name) for spec in world.people))
            await world.gateway.stop()
            await relay.stop()


async def eventually(condition, timeout_s: float = 5.0) -> None:
    """Wait for something the other side does in its own time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)
