"""One embedded platform for this folder, a leased machine, and a customer's shell to type commands in."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from remotegpu.client.api import Api
from remotegpu.client.models import Allocation, Machine
from remotegpu.client.tokens import FixedToken
from remotegpu.local.demo import machine as operator
from remotegpu.local.demo import people
from remotegpu.local.platform import Platform

PROGRAM = [sys.executable, "-m", "remotegpu.cli.main"]


@dataclass
class Laptop:
    """A customer's computer: its own home, and the command line."""

    home: Path
    server: str
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {
            name: os.environ[name]
            for name in ("PATH", "LANG", "PYTHONDONTWRITEBYTECODE")
            if name in os.environ
        }
        return {
            **kept,
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            **self.variables,
        }

    def run(
        self, *arguments: str, typed: str = "", timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PROGRAM, *arguments],
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            env=self.environment,
            cwd=self.home,
            timeout=timeout_s,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.home,
        )


@dataclass
class Site:
    """The platform with its one machine leased to one company. ``password`` is the member's initial one."""

    platform: Platform
    machine: Machine
    company: people.Company
    allocation: Allocation

    @property
    def url(self) -> str:
        return self.platform.url

    async def end_lease(self) -> None:
        async with await admin_api(self.platform) as admin:
            await operator.end_lease(admin, self.allocation.id, "the test is over")
            await operator.wait_until_ended(admin, self.allocation.id, lambda _step: None)


async def admin_api(platform: Platform) -> Api:
    session = await people.sign_in(platform.url, platform.admin_email, platform.admin_password() or "")
    return Api(platform.url, FixedToken(session.access_token))


async def lease_machine(platform: Platform) -> Site:
    async with await admin_api(platform) as admin:
        machine = await operator.wait_until_online(admin)
        company = await people.create_company(admin)
        allocation = await operator.lease(admin, machine, company.customer)
    return Site(platform, machine, company, allocation)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with open_directory() as folder:
        platform = Platform(folder / "data", port=free_port(), simulate_gpus=2)
        platform.start(lambda _event: None)
        try:
            yield asyncio.run(lease_machine(platform))
        finally:
            platform.stop(lambda _event: None)


@pytest.fixture(scope="module")
def laptop(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    """A member's computer, signed in as people do it the first time: initial password, then a new one."""
    laptop = Laptop(tmp_path_factory.mktemp("laptop"), site.url)
    member = site.company.member
    new = people.new_password()
    typed = f"{member.initial_password}\n{new}\n{new}\n"
    done = laptop.run("login", "--server", site.url, "--email", member.email, typed=typed)
    assert done.returncode == 0, done.stderr
    return laptop


@contextmanager
def open_directory() -> Iterator[Path]:
    """As root, PostgreSQL runs as another account, which must pass; pytest's own directories are closed to it."""
    with tempfile.TemporaryDirectory(prefix="remotegpu-cli-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
