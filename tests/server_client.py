"""A real server for tests: ``remotegpu server run`` in a process of its own, and a plain client for its API.

``ServerProcess`` starts and stops it, ``Client`` speaks as one person (or as nobody), ``FakeAgent`` as one machine.
The shortcuts below bring an installation to where a scenario begins: the first admin, customers, members, a lease.
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import aiohttp
import msgspec

from remotegpu.protocol.attempts import AttemptReport
from remotegpu.protocol.inventory import GpuFacts, HostSample, Inventory
from remotegpu.protocol.sync import AccountReport, DesiredState, SyncRequest
from remotegpu.protocol.version import PROTOCOL_HEADER, PROTOCOL_VERSION
from remotegpu.server import administration, settings

ADMIN_EMAIL = "admin@example.com"
START_SECONDS = 60.0
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBkbYrAh0+l7SMgnNVAo8dZoKUZDNLPJ0e4jfBP8QIV2"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class ServerProcess:
    """``remotegpu server run`` (or ``worker``). Its log is kept in ``log_path``, one JSON object per line.

    ``launcher``: Python's arguments that start ``remotegpu``; a test may give a program that changes constants first.
    """

    env: Mapping[str, str]
    log_path: Path
    program: str = "run"
    port: int = field(default_factory=free_port)
    launcher: tuple[str, ...] = ("-m", "remotegpu.cli.main")
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start, and wait until it can serve."""
        environment = {**os.environ, **self.env, "SERVER_PORT": str(self.port)}
        environment.setdefault("PUBLIC_URL", self.url)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.launcher, "server", self.program],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if self.program == "run":
            self._wait_until_ready()
        return self

    def stop(self, *, with_signal: int = signal.SIGTERM) -> None:
        """End it and everything it started."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, with_signal)
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=5)
        with contextlib.suppress(ProcessLookupError):  # granian's own child, when its parent was killed hard
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process = None

    def log_lines(self) -> list[dict[str, Any]]:
        """Every complete line of the log, decoded. A line that is not JSON is a failure."""
        text = self.log_path.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines() if line.strip()]

    def _wait_until_ready(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), timeout=2) as asked,
            ):
                asked.sendall(b"GET /health/ready HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                if asked.recv(100).startswith(b"HTTP/1.1 200"):
                    return
            time.sleep(0.05)
        log = self.log_path.read_text(encoding="utf-8")[-4000:]
        self.stop(with_signal=signal.SIGKILL)
        raise RuntimeError(f"the server did not become ready:\n{log}")


@contextlib.contextmanager
def running_server(env: Mapping[str, str], directory: Path, program: str = "run") -> Iterator[ServerProcess]:
    """A started server (or worker) that is stopped at the end."""
    server = ServerProcess(env, directory / f"server-{program}-{secrets.token_hex(4)}.log", program)
    try:
        yield server.start()
    finally:
        server.stop()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    cookies: Mapping[str, Any] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The stable code of a problem; empty when this is none."""
        if not self.headers.get("Content-Type", "").startswith("application/problem+json"):
            return ""
        return str(self.json.get("code", ""))


@contextlib.asynccontextmanager
async def http_session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session that forgets cookies: tests send those they mean."""
    limits = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=limits) as session:
        yield session


@dataclass
class Client:
    """Speaks to ``/api/v1`` as one person. Without a token: as nobody. ``password`` and ``user`` once signed in."""

    http: aiohttp.ClientSession
    server_url: str
    token: str | None = None
    refresh_token: str = ""
    password: str = ""
    user: dict[str, Any] = field(default_factory=dict)

    @property
    def user_id(self) -> str:
        return str(self.user["id"])

    def url(self, path: str) -> str:
        """``/x`` below ``/api/v1``; a path that begins with ``//`` is taken from the root."""
        return self.server_url + (path[1:] if path.startswith("//") else f"/api/v1{path}")

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | list[tuple[str, str]] | None = None,
    ) -> Answer:
        """One request, whatever it answers. ``body`` is sent as JSON, ``raw`` as it is."""
        more = dict(headers or {})
        if self.token and "Authorization" not in more:
            more["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            raw = msgspec.json.encode(body)
        if raw is not None:
            more.setdefault("Content-Type", "application/json")
        request = self.http.request(
            method, self.url(path), data=raw, headers=more, params=params, allow_redirects=False
        )
        async with request as response:
            content = await response.read()
            return Answer(response.status, response.headers, content, dict(response.cookies))

    async def ask(self, method: str, path: str, body: object = None, *, expect: int, **how: Any) -> Any:
        """The decoded body of an answer with status ``expect``; anything else fails the test with what came."""
        answer = await self.call(method, path, body, **how)
        assert answer.status == expect, f"{method} {path} answered {answer.status}: {answer.body[:1000]!r}"
        return answer.json if answer.body else None

    async def get(self, path: str, *, expect: int = 200, **how: Any) -> Any:
        return await self.ask("GET", path, expect=expect, **how)

    async def post(self, path: str, body: object = None, *, expect: int = 200, **how: Any) -> Any:
        return await self.ask("POST", path, body, expect=expect, **how)

    async def patch(self, path: str, body: object, *, expect: int = 200, **how: Any) -> Any:
        return await self.ask("PATCH", path, body, expect=expect, **how)

    async def delete(self, path: str, *, expect: int = 204, **how: Any) -> Any:
        return await self.ask("DELETE", path, expect=expect, **how)

    async def sign_in(self, email: str, password: str) -> Self:
        """Sign in; tokens in the body."""
        return self._keep(
            await self.post("/auth/login", {"email": email, "password": password}, headers=IN_BODY), password
        )

    async def change_password(self, new: str) -> Self:
        """Change the own password and go on with the new tokens."""
        body = {"current_password": self.password, "new_password": new}
        return self._keep(await self.post("/auth/password", body, headers=IN_BODY), new)

    def anonymous(self) -> "Client":
        return Client(self.http, self.server_url)

    def with_token(self, token: str) -> "Client":
        return Client(self.http, self.server_url, token)

    def _keep(self, answer: dict[str, Any], password: str) -> Self:
        self.token, self.refresh_token = answer["access_token"], answer["refresh_token"]
        self.user, self.password = answer["user"], password
        return self


IN_BODY = {"X-Token-Delivery": "body"}


def new_password() -> str:
    return f"Granite-{secrets.token_urlsafe(12)}"


async def first_admin(http: aiohttp.ClientSession, server: ServerProcess) -> Client:
    """The bootstrap admin, signed in, with a password of their own."""
    variables = {**server.env, "SERVER_PORT": str(server.port)}
    initial = await administration.bootstrap_admin(settings.load(variables), ADMIN_EMAIL)
    return await new_person(http, server.url, ADMIN_EMAIL, initial)


async def new_person(http: aiohttp.ClientSession, url: str, email: str, initial_password: str) -> Client:
    """Somebody with a first password: signs in and changes it."""
    client = await Client(http, url).sign_in(email, initial_password)
    return await client.change_password(new_password())


async def new_customer(admin: Client, code: str | None = None) -> dict[str, Any]:
    code = code or f"c{secrets.token_hex(4)}"
    return await admin.post("/customers", {"company_code": code, "name": f"Company {code}"}, expect=201)


async def new_member(admin: Client, customer_id: str, role: str = "customer_member") -> Client:
    """A member of a customer, signed in, password changed."""
    email = f"{role.rpartition('_')[2]}-{secrets.token_hex(4)}@example.com"
    created = await admin.post(
        f"/customers/{customer_id}/members",
        {"email": email, "display_name": f"A {role}", "role": role},
        expect=201,
    )
    return await new_person(admin.http, admin.server_url, email, created["initial_password"])


def inventory(hostname: str = "host", gpus: int = 2) -> Inventory:
    facts = [
        GpuFacts(
            index=i, uuid=f"SIM-{hostname}-{i}", model="Fake H100", memory_bytes=80 << 30, simulated=True
        )
        for i in range(gpus)
    ]
    return Inventory(
        hostname=hostname,
        os="Debian GNU/Linux 12",
        kernel="6.1.0",
        architecture="x86_64",
        cpu_model="Test CPU",
        cpu_cores=4,
        cpu_threads=8,
        memory_bytes=64 << 30,
        disks=[],
        nics=[],
        gpus=facts,
        ssh_host_key=HOST_KEY,
    )


@dataclass
class FakeAgent:
    """A machine that speaks the protocol and does nothing. ``desired`` is the last document it was given."""

    client: Client
    machine_id: str
    name: str
    facts: Inventory
    applied: int = 0
    desired: DesiredState | None = None
    boot_id: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    async def enrol(cls, admin: Client, name: str | None = None, *, gpus: int = 2) -> "FakeAgent":
        """Enrol with a fresh join token and report once, so that the machine is online."""
        name = name or f"node-{secrets.token_hex(4)}"
        token = await admin.post("/join-tokens", {"name": name}, expect=201)
        facts = inventory(name, gpus)
        request = {
            "join_token": token["token"],
            "name": name,
            "protocol_version": PROTOCOL_VERSION,
            "agent_version": "0.0.0-test",
            "inventory": facts,
        }
        answer = await admin.anonymous().post("/agent/enroll", request, expect=201)
        agent = cls(admin.with_token(answer["agent_token"]), answer["machine_id"], name, facts)
        await agent.sync()
        await agent.until_reachable(admin)
        return agent

    async def sync(
        self,
        *,
        wait: bool = False,
        attempts: list[AttemptReport] | None = None,
        accounts: list[AccountReport] | None = None,
        sample: HostSample | None = None,
        expect: int = 200,
        **changes: Any,
    ) -> dict[str, Any]:
        """One poll; applies what is desired at once."""
        request = SyncRequest(
            agent_version="0.0.0-test",
            protocol_version=PROTOCOL_VERSION,
            boot_id=self.boot_id,
            applied_revision=self.applied,
            clock=time.time(),
            wait=wait,
            inventory=self.facts,
            inventory_hash="facts",
            sample=sample,
            accounts=accounts or [],
            attempts=attempts or [],
        )
        body = msgspec.structs.replace(request, **changes)
        headers = {PROTOCOL_HEADER: body.protocol_version}
        answer = await self.client.post("/agent/sync", body, headers=headers, expect=expect)
        if expect == 200 and answer["desired"] is not None:
            self.desired = msgspec.convert(answer["desired"], DesiredState)
            self.applied = self.desired.revision
        return answer

    async def until_reachable(self, admin: Client) -> None:
        """Heartbeats are written once a second."""
        for _ in range(100):
            if (await admin.get(f"/machines/{self.machine_id}"))["reachable"]:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{self.name} did not become reachable")


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


async def lease(admin: Client, machine_id: str, customer_id: str, days: float = 30) -> dict[str, Any]:
    """An allocation that begins now."""
    body = {"machine_id": machine_id, "customer_id": customer_id, "ends_at": in_days(days)}
    return await admin.post("/allocations", body, expect=201)
