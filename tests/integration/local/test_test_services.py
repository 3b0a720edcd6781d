"""The services that all other suites rely on keep tests apart."""

from collections.abc import Callable

import psycopg
import pytest
import redis

from remotegpu.local.postgres import APP_ROLE
from services import Stack


def _connect(env: dict[str, str], user: str, password: str) -> psycopg.Connection:
    return psycopg.connect(
        host=env["DB_HOST"],
        port=int(env["DB_PORT"]),
        user=user,
        password=password,
        dbname=env["DB_NAME"],
        autocommit=True,
    )


def _redis(env: dict[str, str]) -> redis.Redis:
    host, port = env["REDIS_ADDR"].split(":")
    return redis.Redis(host=host, port=int(port), password=env["REDIS_PASSWORD"], db=int(env["REDIS_DB"]))


def test_two_environments_share_nothing(stack: Stack) -> None:
    first, second = stack.server_env(migrated=False), stack.server_env(migrated=False)
    _redis(first).set("key", "first")
    assert _redis(second).get("key") is None
    assert first["S3_BUCKET"] != second["S3_BUCKET"]
    with _connect(first, first["DB_OWNER_USER"], first["DB_OWNER_PASSWORD"]) as connection:
        connection.execute("CREATE TABLE only_first (id int)")
    with _connect(second, second["DB_OWNER_USER"], second["DB_OWNER_PASSWORD"]) as connection:
        assert connection.execute("SELECT to_regclass('only_first')").fetchone() == (None,)


def test_the_application_role_cannot_make_tables(empty_server_env: dict[str, str]) -> None:
    env = empty_server_env
    assert env["DB_USER"] == APP_ROLE
    with (
        _connect(env, env["DB_USER"], env["DB_PASSWORD"]) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("CREATE TABLE mine (id int)")


def test_a_wrong_password_is_refused(empty_server_env: dict[str, str]) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        _connect(empty_server_env, empty_server_env["DB_USER"], "wrong")


def test_more_environments_on_demand(new_server_env: Callable[..., dict[str, str]]) -> None:
    names = {new_server_env(migrated=False)["DB_NAME"] for _ in range(3)}
    assert len(names) == 3
