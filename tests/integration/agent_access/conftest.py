"""One gateway and one relay per test."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from integration.agent_access.world import World, running_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running_world(tmp_path) as running:
        yield running


@pytest.fixture
def openssh() -> None:
    if shutil.which("ssh") is None:
        pytest.skip("no ssh client: access is not tried with OpenSSH; install openssh-client to include it")
