"""The platform as ``remotegpu up`` runs it, with a data directory and a port of its own, and API clients for it."""

import asyncio
import importlib.util
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from remotegpu.local import ports
from remotegpu.local.platform import Platform
from server_client import Client, in_days, new_password

ROOT = Path(__file__).parents[2]
GPUS = 2
PATIENCE_S = 60.0
PAUSE_S = 0.1
T = TypeVar("T")


@dataclass
class Site:
    """A running platform. ``admin`` speaks to its API as the first admin; ``machine`` is this host."""

    platform: Platform
    http: aiohttp.ClientSession
    admin: Client
    machine: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def url(self) -> str:
        return self.platform.url

    @property
    def admin_password(self) -> str:
        password = self.platform.admin_password()
        assert password is not None
        return password

    def log(self, service: str) -> str:
        return self.platform.layout.log(service).read_text(encoding="utf-8", errors="replace")

    def kill(self, service: str) -> None:
        """As the kernel would when memory is short. The supervisor starts it again."""
        state = self.platform.require_state()
        pid = next(each.pid for each in state.services if each.name == service)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    async def new_company(self, name: str = "") -> "Company":
        """A customer whose code, and so whose Linux account, no other test run on this host has."""
        mark = secrets.token_hex(3)
        code = f"{(name or 'acme').lower().split()[0]}-{mark}"
        body = {"company_code": code, "name": name or f"Acme {mark}"}
        return Company(self, await self.admin.post("/customers", body, expect=201))

    async def until_offered(self) -> None:
        """The machine answers, is clean, checked, and nobody's."""

        async def offered() -> bool:
            found = await self.admin.get(f"/machines/{self.machine['id']}")
            return bool(found["state"] == "online" and found["reachable"])

        await until(offered, "the machine is offered")


async def until(condition: Callable[[], Awaitable[T]], wanted: str) -> T:
    """The first result of ``condition`` that is true."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if result := await condition():
            return result
        await asyncio.sleep(PAUSE_S)
    raise AssertionError(f"not within {PATIENCE_S} s: {wanted}")


@dataclass
class Company:
    site: Site
    customer: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.customer["id"])

    @property
    def name(self) -> str:
        return str(self.customer["name"])

    async def member(self, role: str = "customer_member", name: str = "Mei Chen") -> Client:
        """Somebody of this company who has signed in before and has a password of their own."""
        email = f"{name.lower().replace(' ', '.')}-{secrets.token_hex(2)}@example.com"
        body = {"email": email, "display_name": name, "role": role}
        created = await self.site.admin.post(f"/customers/{self.id}/members", body, expect=201)
        person = await Client(self.site.http, self.site.url).sign_in(email, created["initial_password"])
        return await person.change_password(new_password())

    async def lease(self, machine_id: str | None = None, days: float = 30) -> dict[str, Any]:
        body = {
            "machine_id": machine_id or self.site.machine["id"],
            "customer_id": self.id,
            "ends_at": in_days(days),
        }
        return await self.site.admin.post("/allocations", body, expect=201)


@asynccontextmanager
async def running_site() -> AsyncIterator[Site]:
    """Builds the console when its sources changed, then starts everything; at the end nothing is left."""
    await asyncio.to_thread(build_console)
    directory = open_directory()
    platform = Platform(directory / "data", port=free_port(), simulate_gpus=GPUS)
    try:
        await asyncio.to_thread(platform.start, lambda _event: None)
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
            yield await _signed_in(platform, http)
    finally:
        await asyncio.to_thread(platform.stop, lambda _event: None)
        shutil.rmtree(directory, ignore_errors=True)


async def _signed_in(platform: Platform, http: aiohttp.ClientSession) -> Site:
    password = platform.admin_password()
    assert password is not None
    admin = await Client(http, platform.url).sign_in(platform.admin_email, password)
    site = Site(platform, http, admin)

    async def enrolled() -> list[dict[str, Any]]:
        return list((await admin.get("/machines"))["items"])

    (this_host,) = await until(enrolled, "this host has enrolled")
    site.machine = await admin.patch(f"/machines/{this_host['id']}", {"name": "gpu-host-01", "region": "lab"})
    await site.until_offered()
    return site


def build_console() -> None:
    """``make console``: nothing to do when it is up to date."""
    spec = importlib.util.spec_from_file_location("console_build", ROOT / "scripts/console.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.build()


def open_directory() -> Path:
    """One that others may enter: as root, PostgreSQL and customers' tasks run as other accounts."""
    directory = Path(tempfile.mkdtemp(prefix="remotegpu-e2e-"))
    directory.chmod(0o755)
    return directory


def free_port() -> int:
    """Above the platform's internal ports, below the range the kernel gives to clients."""
    while True:
        port = 30_000 + int.from_bytes(os.urandom(2)) % 2_500
        if ports.is_free(port):
            return port
