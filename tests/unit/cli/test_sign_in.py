"""Signing in and staying signed in, against a server that speaks the contract."""

import io
import json
import subprocess
import sys
import threading
import time
from typing import Any

import msgspec
import pytest
from aiohttp import web

from remotegpu.cli.credentials import Credentials, CredentialStore
from remotegpu.cli.main import run

from .conftest import PASSWORD, USER, StubServer, tokens


def answer(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def login(server: StubServer) -> int:
    return run(["login", "--server", server.url, "--email", USER["email"]])


def test_login_stores_a_private_file(
    server: StubServer, store: CredentialStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.reply("POST", "/auth/login", tokens(1))
    answer(monkeypatch, PASSWORD)
    assert login(server) == 0
    assert server.calls("POST", "/auth/login") == [{"email": USER["email"], "password": PASSWORD}]
    assert store.path.stat().st_mode & 0o777 == 0o600
    stored = store.read()
    assert stored is not None
    assert (stored.server, stored.access_token, stored.refresh_token) == (server.url, "access-1", "refresh-1")


def test_first_login_asks_until_the_server_takes_the_new_password(
    server: StubServer,
    store: CredentialStore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def change(_request: web.Request, body: Any) -> web.Response:
        if body["new_password"] == "short":
            errors = [{"field": "new_password", "found": "5 characters", "expected": "at least 12"}]
            refusal = {"code": "weak_password", "detail": "too short", "errors": errors}
            return web.json_response(refusal, status=422)
        return web.json_response(tokens(2))

    server.reply("POST", "/auth/login", tokens(1, must_change=True))
    server.route("POST", "/auth/password", change)
    answer(monkeypatch, PASSWORD, "one", "two", "short", "short", "longer-than-before", "longer-than-before")
    assert login(server) == 0
    changes = server.calls("POST", "/auth/password")
    assert [each["new_password"] for each in changes] == ["short", "longer-than-before"]
    assert {each["current_password"] for each in changes} == {PASSWORD}
    stored = store.read()
    assert stored is not None
    assert stored.access_token == "access-2"
    notes = capsys.readouterr().err
    assert "The two differ." in notes
    assert "at least 12" in notes


def test_wrong_password_says_so_and_stores_nothing(
    server: StubServer,
    store: CredentialStore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.problem("POST", "/auth/login", 401, "invalid_credentials", "no match")
    answer(monkeypatch, "wrong")
    assert login(server) == 4
    assert store.read() is None
    assert "do not match" in capsys.readouterr().err


def test_token_from_standard_input_is_tried_before_it_is_stored(
    server: StubServer, store: CredentialStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.reply("GET", "/auth/me", USER)
    answer(monkeypatch, "rgp_abc")
    assert run(["login", "--server", server.url, "--token-stdin"]) == 0
    assert server.requests[-1][3] == "rgp_abc"
    stored = store.read()
    assert stored is not None
    assert stored.personal_token == "rgp_abc"
    server.problem("GET", "/auth/me", 401, "invalid_token", "unknown token")
    answer(monkeypatch, "rgp_other")
    assert run(["login", "--server", server.url, "--token-stdin"]) == 4
    again = store.read()
    assert again is not None
    assert again.personal_token == "rgp_abc"


def test_logout_ends_the_session_and_forgets_it(signed_in: StubServer, store: CredentialStore) -> None:
    signed_in.reply("POST", "/auth/logout", None, 204)
    assert run(["logout"]) == 0
    assert signed_in.calls("POST", "/auth/logout") == [{"refresh_token": "refresh-1"}]
    assert store.read() is None


def test_login_and_logout_speak_json(
    signed_in: StubServer,
    store: CredentialStore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    signed_in.reply("GET", "/auth/me", USER)
    answer(monkeypatch, "rgp_abc")
    assert run(["login", "--server", signed_in.url, "--token-stdin", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"server": signed_in.url, "email": USER["email"]}
    assert run(["logout", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"signed_out": True, "server": signed_in.url}
    assert store.read() is None
    assert run(["logout", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"signed_out": False, "server": None}


def test_expired_access_token_is_renewed_once_and_written_back(
    signed_in: StubServer, store: CredentialStore
) -> None:
    expire(store)
    signed_in.reply("POST", "/auth/refresh", tokens(2))
    signed_in.reply("GET", "/auth/me", USER)
    assert run(["whoami"]) == 0
    assert signed_in.requests[-1][3] == "access-2"
    stored = store.read()
    assert stored is not None
    assert stored.refresh_token == "refresh-2"


def test_token_the_server_no_longer_takes_is_renewed(signed_in: StubServer) -> None:
    """A server whose key was rotated refuses a token that looks fresh here."""

    def me(request: web.Request, _body: Any) -> web.Response:
        if request.headers["Authorization"] == "Bearer access-1":
            return web.json_response({"code": "invalid_token"}, status=401)
        return web.json_response(USER)

    signed_in.route("GET", "/auth/me", me)
    signed_in.reply("POST", "/auth/refresh", tokens(2))
    assert run(["whoami"]) == 0
    assert len(signed_in.calls("POST", "/auth/refresh")) == 1


def test_many_processes_at_once_use_the_refresh_token_once(
    signed_in: StubServer, store: CredentialStore
) -> None:
    """Using it twice would be taken for theft and end the session everywhere."""
    expire(store)
    used: list[str] = []
    lock = threading.Lock()

    def refresh(_request: web.Request, body: Any) -> web.Response:
        time.sleep(0.2)
        with lock:
            if body["refresh_token"] in used:
                return web.json_response({"code": "refresh_reused"}, status=401)
            used.append(body["refresh_token"])
        return web.json_response(tokens(len(used) + 1))

    signed_in.route("POST", "/auth/refresh", refresh)
    signed_in.reply("GET", "/auth/me", USER)
    command = [sys.executable, "-m", "remotegpu.cli.main", "whoami"]
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [process.wait(30) for process in processes] == [0, 0, 0, 0]
    assert used == ["refresh-1"]


def test_ended_session_says_how_to_sign_in_again(
    signed_in: StubServer, store: CredentialStore, capsys: pytest.CaptureFixture[str]
) -> None:
    expire(store)
    signed_in.problem("POST", "/auth/refresh", 401, "refresh_expired", "too old")
    assert run(["machines"]) == 4
    assert "do next:  remotegpu login" in capsys.readouterr().err


def test_nobody_signed_in(store: CredentialStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert store.read() is None
    assert run(["machines"]) == 4
    assert "remotegpu login" in capsys.readouterr().err


def test_server_that_is_not_there(store: CredentialStore, capsys: pytest.CaptureFixture[str]) -> None:
    far = Credentials(server="http://127.0.0.1:9", email="x@y.example", personal_token="rgp_x")
    store.write(far)
    assert run(["machines"]) == 5
    assert "no answer from http://127.0.0.1:9" in capsys.readouterr().err


def test_token_in_the_environment_needs_no_file(
    server: StubServer, store: CredentialStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMOTEGPU_TOKEN", "rgp_env")
    monkeypatch.setenv("REMOTEGPU_SERVER_URL", server.url)
    server.reply("GET", "/auth/me", USER)
    assert run(["whoami"]) == 0
    assert server.requests[-1][3] == "rgp_env"
    assert store.read() is None


def test_damaged_file_is_named(store: CredentialStore, capsys: pytest.CaptureFixture[str]) -> None:
    store.folder.mkdir(parents=True)
    store.path.write_text("{")
    assert run(["whoami"]) == 1
    assert str(store.path) in capsys.readouterr().err


def expire(store: CredentialStore) -> None:
    stored = store.read()
    assert stored is not None
    store.write(msgspec.structs.replace(stored, expires_at=time.time() - 1))
