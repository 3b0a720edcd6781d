"""What an operator does on the command line: the first admin, settings from files, all that is wrong at once."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from remotegpu.server import administration, settings
from remotegpu.server.core.errors import InvalidError
from server_client import Client, ServerProcess, new_password

SECRETS = ("DB_PASSWORD", "REDIS_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY", "JWT_SECRET", "SSH_CA_KEY")


def remotegpu(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """``remotegpu server ARGUMENTS`` with nothing of the server's variables but ``env``."""
    plain = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH", "LANG") if name in os.environ}
    command = [sys.executable, "-m", "remotegpu.cli.main", "server", *arguments]
    return subprocess.run(command, env=plain | env, capture_output=True, text=True, timeout=60, check=False)


def in_files(env: dict[str, str], directory: Path) -> dict[str, str]:
    """The same settings with every secret in a file of its own."""
    changed = dict(env)
    for name in SECRETS:
        path = directory / name.lower()
        path.write_text(changed.pop(name) + "\n", encoding="utf-8")
        changed[f"{name}_FILE"] = str(path)
    return changed


def test_the_first_admin_is_made_once_with_every_secret_in_a_file(
    server_env: dict[str, str], tmp_path: Path
) -> None:
    env = in_files(server_env, tmp_path)
    first = remotegpu("bootstrap-admin", "--email", "First@Example.com", "--json", env=env)
    assert first.returncode == 0, first.stderr
    printed = json.loads(first.stdout)
    assert printed["email"] == "First@Example.com"
    assert len(printed["password"]) == 16
    second = remotegpu("bootstrap-admin", "--email", "second@example.com", env=env)
    assert second.returncode == 3
    assert second.stdout == ""
    assert "an admin exists already" in second.stderr
    assert "Traceback" not in second.stderr


def test_the_first_password_can_be_chosen_and_is_not_printed_then(
    server_env: dict[str, str], tmp_path: Path
) -> None:
    weak, chosen = tmp_path / "weak", tmp_path / "chosen"
    weak.write_text("password1234")
    chosen.write_text("Granite-lantern-7-orchid\n")
    for path, code, said in [
        (tmp_path / "absent", 2, "No such file"),
        (weak, 4, "expected at least 3"),
        (chosen, 0, ""),
        (chosen, 3, "an admin exists already"),
    ]:
        done = remotegpu(
            "bootstrap-admin", "--email", "a@example.com", "--password-file", str(path), env=server_env
        )
        assert done.returncode == code, done.stderr
        assert said in done.stderr
        assert "Granite" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


async def test_administrators_are_added_and_lost_passwords_replaced(
    server: ServerProcess, admin: Client, anonymous: Client
) -> None:
    env = dict(server.env)
    added = remotegpu("add-admin", "--email", "second@example.com", "--json", env=env)
    assert added.returncode == 0, added.stderr
    first = json.loads(added.stdout)["password"]
    second = await anonymous.sign_in("second@example.com", first)
    await second.change_password(new_password())
    assert (await second.get("/customers"))["total"] >= 0
    assert remotegpu("add-admin", "--email", "second@example.com", env=env).returncode == 3
    assert remotegpu("add-admin", "--email", "nonsense", env=env).returncode == 4
    unknown = remotegpu("reset-password", "--email", "nobody@example.com", env=env)
    assert (unknown.returncode, unknown.stderr.strip()) == (4, "there is no account nobody@example.com")
    done = remotegpu("reset-password", "--email", "second@example.com", "--json", env=env)
    assert done.returncode == 0, done.stderr
    await asyncio.sleep(1.1)  # another process: how long a server may remember who somebody was
    assert (await second.call("GET", "/auth/me")).code == "session_ended"
    again = await Client(anonymous.http, server.url).sign_in(
        "second@example.com", json.loads(done.stdout)["password"]
    )
    assert again.user["must_change_password"]
    trail = await admin.get("/audit?page_size=50")
    assert {"user.create", "user.password_reset"} <= {entry["action"] for entry in trail["items"]}


@pytest.mark.parametrize("command", ["run", "worker"])
def test_nothing_set_names_everything_that_is_missing(command: str) -> None:
    done = remotegpu(command, env={})
    assert done.returncode == 2
    for key in ("DB_HOST", "REDIS_ADDR", "S3_ENDPOINT", *SECRETS):
        assert f"- {key}: found nothing" in done.stderr, key
    assert "Traceback" not in done.stderr


def test_all_wrong_settings_at_once_and_no_secret_in_the_message(
    server_env: dict[str, str], tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    short = "hunter2-is-too-short"
    wrong = {
        **server_env,
        "SERVER_PORT": "70000",
        "LOG_LEVEL": "chatty",
        "JWT_ACCESS_EXPIRE": "soon",
        "DB_SSLMODE": "maybe",
        "REDIS_ADDR": "nowhere",
        "S3_ENDPOINT": "ftp://files",
        "JWT_SECRET": f"{'k' * 40},{short}",
        "SSH_CA_KEY": "not a key at all, but secret",
        "TRUSTED_PROXIES": "10.0.0.0/8, everybody",
        "REDIS_PASSWORD_FILE": str(empty),
        "S3_SECRET_KEY_FILE": str(tmp_path / "none"),
        "JWT_REFRESH_EXPIRE": "0s",
        "PUBLIC_URL": "gpu.example.com",
    }
    done = remotegpu("run", env=wrong)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for key, value in wrong.items():
        assert f"- {key.removesuffix('_FILE')}" in done.stderr or value == server_env.get(key), (
            key,
            done.stderr,
        )
    for secret in (
        short,
        "k" * 40,
        "not a key at all",
        server_env["DB_PASSWORD"],
        server_env["REDIS_PASSWORD"],
    ):
        assert secret not in done.stderr


def test_a_secret_given_twice_is_refused(server_env: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("other", encoding="utf-8")
    done = remotegpu("run", env={**server_env, "DB_PASSWORD_FILE": str(path)})
    assert done.returncode == 2
    assert "found both DB_PASSWORD and DB_PASSWORD_FILE" in done.stderr


def test_a_database_that_is_away_is_one_clear_line(server_env: dict[str, str]) -> None:
    done = remotegpu("bootstrap-admin", "--email", "a@example.com", env={**server_env, "DB_PORT": "1"})
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert server_env["DB_PASSWORD"] not in done.stderr
    assert "database" in done.stderr.lower()


async def test_the_first_admin_needs_a_real_address(server_env: dict[str, str]) -> None:
    known = settings.load(server_env)
    for email in ("", "no-address", "a b@example.com", "x" * 300 + "@example.com", "a@b.c\nx", "a@b.c\n"):
        with pytest.raises(InvalidError, match="e-mail address"):
            await administration.bootstrap_admin(known, email)
    assert len(await administration.bootstrap_admin(known, "li.wei+gpu@example.com")) == 16
