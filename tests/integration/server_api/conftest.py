"""A server of its own per module, and people to talk to it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

import server_client as sc
from integration.server_api import world as stage
from integration.server_api.world import World, digest
from server_client import Client, ServerProcess
from services import Stack


@pytest.fixture(scope="module")
def server(
    module_server_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """``remotegpu server run``, shared by one module's tests, which may say from which address they come."""
    directory: Path = tmp_path_factory.mktemp("server")
    variables = {**module_server_env, "AGENT_DIAL_TIMEOUT": "1s", "TRUSTED_PROXIES": "127.0.0.1"}
    with sc.running_server(variables, directory) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with sc.http_session() as session:
        yield session


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def admin(server: ServerProcess, http: aiohttp.ClientSession) -> Client:
    """The first admin of a module's server."""
    return await sc.first_admin(http, server)


@pytest.fixture
def anonymous(server: ServerProcess, http: aiohttp.ClientSession) -> Client:
    return Client(http, server.url)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(admin: Client) -> World:
    return await stage.build(admin)


@pytest.fixture
def unchanged(world: World, server: ServerProcess, stack: Stack) -> Iterator[None]:  # noqa: ARG001 - it must exist first
    """Fails when anything but the audit trail is another afterwards."""
    before = digest(stack, server)
    yield
    assert digest(stack, server) == before
