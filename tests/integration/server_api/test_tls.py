"""The server speaks TLS to PostgreSQL and Redis, and believes only the authority that it was told of."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

import server_client as sc
from integration.server_api.tls_doors import Door, tls_doors
from remotegpu.kit.certificates import new_authority
from remotegpu.kit.environment import SettingsError
from remotegpu.server import settings
from remotegpu.server.core.services import open_redis


@pytest.fixture
def through_tls(server_env: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """The server's variables, with TLS to both."""
    database = Door(sc.free_port(), int(server_env["DB_PORT"]), is_postgres=True)
    redis = Door(sc.free_port(), int(server_env["REDIS_ADDR"].rpartition(":")[2]), is_postgres=False)
    with tls_doors(tmp_path, database, redis) as authority:
        yield {
            **server_env,
            "DB_PORT": str(database.port),
            "DB_SSLMODE": "verify-full",
            "PGSSLROOTCERT": str(authority),
            "REDIS_ADDR": f"127.0.0.1:{redis.port}",
            "REDIS_TLS": "true",
            "REDIS_CA_FILE": str(authority),
        }


@pytest.fixture
def stranger(tmp_path: Path) -> str:
    """The file of an authority that signed nothing here."""
    path = tmp_path / "stranger.pem"
    path.write_text(new_authority("stranger", datetime.now(UTC), timedelta(days=1)).certificate)
    return str(path)


async def test_the_whole_server_works_through_tls(through_tls: dict[str, str], tmp_path: Path) -> None:
    migrated = remotegpu("migrate", env=through_tls)
    assert migrated.returncode == 0, migrated.stderr
    with sc.running_server(through_tls, tmp_path) as server:
        made = remotegpu("bootstrap-admin", "--email", "a@example.com", env=through_tls)
        assert made.returncode == 0, made.stderr
        async with sc.http_session() as http:
            checks: Any = (await sc.Client(http, server.url).get("//health/ready"))["checks"]
            assert set(checks.values()) == {"ok"}


def remotegpu(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "remotegpu.cli.main", "server", *arguments]
    return subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_database_certified_by_a_stranger_is_refused(through_tls: dict[str, str], stranger: str) -> None:
    done = remotegpu("migrate", env={**through_tls, "PGSSLROOTCERT": stranger})
    assert done.returncode == 4
    assert "certificate verify failed" in done.stderr


async def test_a_redis_certified_by_a_stranger_is_refused(through_tls: dict[str, str], stranger: str) -> None:
    for changed, reachable in (({}, True), ({"REDIS_CA_FILE": stranger}, False)):
        redis = open_redis(settings.load({**through_tls, **changed}).redis)
        try:
            if reachable:
                assert await redis.ping()  # pyright: ignore[reportGeneralTypeIssues] - redis-py types it as sync or async
            else:
                with pytest.raises(RedisError, match="certificate verify failed"):
                    await redis.ping()  # pyright: ignore[reportGeneralTypeIssues] - same
        finally:
            await redis.aclose()


def test_an_authority_that_cannot_be_read_is_named(through_tls: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="REDIS_CA_FILE: cannot read /nowhere"):
        settings.load({**through_tls, "REDIS_CA_FILE": "/nowhere"})
