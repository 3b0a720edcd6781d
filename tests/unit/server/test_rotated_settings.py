"""Settings that change at a rotation: keys that overlap, a role's name from a file, and who needs whose password."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from remotegpu.kit.environment import Environment, SettingsError
from remotegpu.server import settings
from remotegpu.server.core.errors import NotAuthenticatedError
from remotegpu.server.core.tokens import AccessTokens

NEW, OLD, GONE = (letter * 40 for letter in "nog")


def database(*, migrating: bool = False, **variables: str) -> settings.DatabaseSettings:
    environment = Environment({"DB_HOST": "postgresql", **variables})
    found = settings.load_database(environment, migrating=migrating)
    environment.finish()
    return found


def keys_in(path: Path) -> tuple[str, ...]:
    environment = Environment({"JWT_SECRET_FILE": str(path)})
    found = settings._jwt_keys(environment)
    environment.finish()
    return found


def test_a_token_signed_with_the_second_key_of_the_file_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "jwt"
    path.write_text(f"{NEW}\n{OLD}\n")
    somebody = uuid.uuid4()

    def signed_with(*keys: str) -> str:
        return AccessTokens(keys, 900).issue(somebody, family="a sign-in", now=datetime.now(UTC))

    ring = keys_in(path)
    verifier = AccessTokens(ring, 900)
    assert verifier.verify(signed_with(OLD)).user_id == somebody
    assert AccessTokens((NEW,), 900).verify(signed_with(*ring)).user_id == somebody, "the first signs"
    with pytest.raises(NotAuthenticatedError):
        verifier.verify(signed_with(GONE))


def test_a_key_is_believed_until_its_time_and_not_longer(tmp_path: Path) -> None:
    path = tmp_path / "jwt"
    somebody = uuid.uuid4()
    token = AccessTokens((OLD,), 900).issue(somebody, family="a sign-in", now=datetime.now(UTC))
    for days, is_believed in ((1, True), (-1, False)):
        path.write_text(f"{NEW}\n{OLD} until={(datetime.now(UTC) + timedelta(days=days)).isoformat()}")
        verifier = AccessTokens(keys_in(path), 900)
        if is_believed:
            assert verifier.verify(token).user_id == somebody
        else:
            with pytest.raises(NotAuthenticatedError):
                verifier.verify(token)
    path.write_text(f"{NEW}\n{OLD} until=tomorrow")
    with pytest.raises(SettingsError, match="until=tomorrow, expected a time with its zone"):
        keys_in(path)


def test_the_roles_name_comes_from_the_file_that_is_rotated(tmp_path: Path) -> None:
    name, password = tmp_path / "user", tmp_path / "password"
    name.write_text("remotegpu_app_b\n")
    password.write_text("p\n")
    found = database(DB_USER_FILE=str(name), DB_PASSWORD_FILE=str(password))
    assert (found.user, found.password, found.app_group) == ("remotegpu_app_b", "p", "remotegpu_app_b")


def test_the_roles_name_given_twice_or_in_an_empty_file_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "user"
    empty.touch()
    with pytest.raises(SettingsError, match="found both DB_USER and DB_USER_FILE"):
        database(DB_USER="x", DB_USER_FILE=str(empty), DB_PASSWORD="p")
    with pytest.raises(SettingsError, match=r"DB_USER_FILE: .* is empty"):
        database(DB_USER_FILE=str(empty), DB_PASSWORD="p")


def test_the_group_is_the_application_role_unless_named() -> None:
    assert database(DB_PASSWORD="p").app_group == "remotegpu_user"
    assert database(DB_PASSWORD="p", DB_APP_GROUP="remotegpu_app").app_group == "remotegpu_app"


def test_migrations_need_the_owners_password_and_not_the_applications() -> None:
    found = database(migrating=True, DB_OWNER_USER="owner", DB_OWNER_PASSWORD="o")
    assert (found.owner_user, found.owner_password) == ("owner", "o")
    with pytest.raises(SettingsError, match="DB_OWNER_PASSWORD: found nothing"):
        database(migrating=True, DB_OWNER_USER="owner", DB_PASSWORD="p")
    with pytest.raises(SettingsError, match="DB_PASSWORD: found nothing"):
        database(DB_OWNER_USER="owner", DB_OWNER_PASSWORD="o")
