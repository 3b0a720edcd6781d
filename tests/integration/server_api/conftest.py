"""A server of its own per module, and people to talk to it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

import server_client as sc
from server_client import Client, ServerProcess


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
