"""Fixtures for every suite: the embedded services, and the server's environment in a fresh corner of them."""

from collections.abc import Callable, Iterator

import pytest

from services import Stack, running_stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """PostgreSQL, Valkey and S3, started once per test run and shared by all its workers."""
    with running_stack() as running:
        yield running


@pytest.fixture
def server_env(stack: Stack) -> Iterator[dict[str, str]]:
    """The server's variables for one test: a migrated database, a Valkey database and a bucket of its own.

    ``SERVER_PORT`` and ``PUBLIC_URL`` are left to whoever starts a server.
    """
    env = stack.server_env()
    yield env
    stack.release(env)


@pytest.fixture(scope="module")
def module_server_env(stack: Stack) -> Iterator[dict[str, str]]:
    """Like ``server_env``, shared by one module's tests."""
    env = stack.server_env()
    yield env
    stack.release(env)


@pytest.fixture
def empty_server_env(stack: Stack) -> Iterator[dict[str, str]]:
    """Like ``server_env``, before any migration."""
    env = stack.server_env(migrated=False)
    yield env
    stack.release(env)


@pytest.fixture(scope="session")
def new_server_env(stack: Stack) -> Callable[..., dict[str, str]]:
    """For tests that need several: each call gives another fresh environment, removed at the end of the run."""
    return stack.server_env
