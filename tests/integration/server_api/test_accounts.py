"""Signing in and staying signed in: cookies, rotation, sign-out, passwords, lockout."""

import asyncio
import secrets
from http.cookies import Morsel
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import redis

import server_client as sc
from server_client import IN_BODY, Answer, Client, ServerProcess

COOKIE = "rg_refresh"


@pytest.fixture
def cache(server: ServerProcess) -> redis.Redis:
    """The server's Valkey, to let time pass in it."""
    host, _, port = server.env["REDIS_ADDR"].rpartition(":")
    return redis.Redis(
        host=host,
        port=int(port),
        password=server.env["REDIS_PASSWORD"],
        username=server.env.get("REDIS_USER", "default"),
        db=int(server.env["REDIS_DB"]),
    )


@pytest_asyncio.fixture(loop_scope="session")
async def person(admin: Client) -> Client:
    """Somebody with an account of their own, signed in."""
    return await sc.new_member(admin, (await sc.new_customer(admin))["id"], "customer_owner")


def address() -> dict[str, str]:
    """Headers of a request from an address that no other test uses."""
    return {"X-Forwarded-For": f"2001:db8::{secrets.token_hex(2)}:{secrets.token_hex(2)}"}


def credentials(person: Client, password: str | None = None) -> dict[str, str]:
    return {"email": person.user["email"], "password": password or person.password}


async def login(person: Client, password: str | None = None, **headers: str) -> Answer:
    return await person.anonymous().call(
        "POST", "/auth/login", credentials(person, password), headers=headers
    )


async def refresh(person: Client, token: str) -> Answer:
    return await person.anonymous().call("POST", "/auth/refresh", {"refresh_token": token}, headers=IN_BODY)


async def test_browsers_get_a_cookie_that_scripts_and_other_sites_cannot_use(person: Client) -> None:
    answer = await login(person)
    cookie: Morsel[str] = answer.cookies[COOKIE]
    assert (cookie["httponly"], cookie["samesite"].lower(), cookie["path"]) == (
        True,
        "strict",
        "/api/v1/auth",
    )
    assert int(cookie["max-age"]) == 7 * 86_400
    assert not cookie["secure"], "PUBLIC_URL is http:// here"
    assert "refresh_token" not in answer.json
    assert cookie.value not in answer.body.decode()
    assert answer.headers["Cache-Control"] == "no-store"


async def test_clients_without_cookies_get_the_token_in_the_body(person: Client) -> None:
    answer = await login(person, **IN_BODY)
    assert answer.cookies == {}
    assert answer.json["refresh_token"]
    assert answer.json["user"]["email"] == person.user["email"]


async def test_a_wrong_password_and_an_unknown_address_look_the_same(person: Client) -> None:
    wrong = await login(person, "not it", **address())
    body = {"email": "nobody@example.com", "password": "not it"}
    unknown = await person.anonymous().call("POST", "/auth/login", body, headers=address())
    assert (wrong.status, wrong.code) == (401, "invalid_credentials")
    for key in ("status", "code", "detail", "title"):
        assert wrong.json[key] == unknown.json[key]


async def test_an_expired_token_in_the_header_does_not_keep_anybody_from_signing_in(person: Client) -> None:
    stale = {"Authorization": "Bearer rgp_expired-long-ago"}
    assert (await login(person, **stale)).status == 200
    body = {"refresh_token": person.refresh_token}
    assert (await person.call("POST", "/auth/refresh", body, headers=stale | IN_BODY)).status == 200


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("short", "at least 10 characters"),
        ("password1234", "at least 3"),
        ("aaaaaaaaaaaaaaaa", "at least 3"),
        ("remotegpu2026", "at least 3"),
    ],
)
async def test_a_weak_password_is_refused_with_advice(person: Client, password: str, expected: str) -> None:
    body = {"current_password": person.password, "new_password": password}
    answer = await person.call("POST", "/auth/password", body)
    assert (answer.status, answer.code) == (422, "weak_password")
    assert any(expected in problem["expected"] for problem in answer.json["errors"])
    assert {problem["field"] for problem in answer.json["errors"]} == {"new_password"}
    assert password not in answer.body.decode()


async def test_the_own_address_and_the_old_password_are_no_new_password(person: Client) -> None:
    for new in (person.user["email"], person.password):
        body = {"current_password": person.password, "new_password": new}
        assert (await person.call("POST", "/auth/password", body)).code == "weak_password"


async def test_a_wrong_current_password_is_not_taken_for_an_expired_session(person: Client) -> None:
    """A 401 would make the console renew its token and ask again, counting one mistake twice."""
    body = {"current_password": "not it", "new_password": sc.new_password()}
    answer = await person.call("POST", "/auth/password", body)
    assert (answer.status, answer.code) == (403, "invalid_credentials")
    await person.get("/auth/me")


async def test_changing_the_password_ends_every_other_session(person: Client) -> None:
    elsewhere = await person.anonymous().sign_in(**credentials(person))
    old_token, old_password = person.token, person.password
    await person.change_password(sc.new_password())
    await person.get("/auth/me")
    assert (await elsewhere.call("GET", "/auth/me")).code == "session_ended"
    assert (await refresh(elsewhere, elsewhere.refresh_token)).code == "refresh_invalid"
    assert (await person.with_token(str(old_token)).call("GET", "/auth/me")).code == "session_ended"
    assert (await login(person, old_password, **address())).status == 401


async def test_five_failures_lock_the_account_for_that_address_only(person: Client) -> None:
    here, elsewhere = address(), address()
    for _ in range(5):
        assert (await login(person, "not it", **here)).code == "invalid_credentials"
    locked = await login(person, **here)
    assert (locked.status, locked.code) == (429, "locked_out")
    assert 0 < int(locked.headers["Retry-After"]) <= 30
    assert locked.json["retry_after"] == int(locked.headers["Retry-After"])
    assert (await login(person, **elsewhere)).status == 200
    other = {"email": "somebody.else@example.com", "password": "not it"}
    assert (await person.anonymous().call("POST", "/auth/login", other, headers=here)).status == 401
    await person.get("/auth/me")


async def test_each_further_failure_locks_for_longer_and_a_success_forgets(
    person: Client, cache: redis.Redis
) -> None:
    here = address()
    for _ in range(5):
        await login(person, "not it", **here)
    waits: list[int] = []
    for _ in range(3):
        waits.append(int((await login(person, **here)).headers["Retry-After"]))
        unlock(cache)
        assert (await login(person, "not it", **here)).status == 401
    assert waits[0] <= 30 < waits[1] <= 60 < waits[2] <= 120
    unlock(cache)
    assert (await login(person, **here)).status == 200
    assert (await login(person, "not it", **here)).status == 401
    assert (await login(person, **here)).status == 200


async def test_strangers_cannot_lock_somebody_out_of_the_address_they_use(person: Client) -> None:
    usual = address()
    assert (await login(person, **usual)).status == 200
    for _ in range(11):
        guesses = [login(person, "not it", **headers) for headers in [address()] * 5]
        await asyncio.gather(*guesses)
    assert (await login(person, **address())).code == "locked_out", (
        "guessing from everywhere must end somewhere"
    )
    assert (await login(person, **usual)).status == 200


async def test_a_right_guess_among_many_at_once_does_not_count_after_the_lock(person: Client) -> None:
    here = address()
    for _ in range(5):
        await login(person, "not it", **here)
    answers = await asyncio.gather(*(login(person, **here) for _ in range(5)))
    assert {answer.code for answer in answers} == {"locked_out"}


async def test_wrong_current_passwords_lock_like_wrong_sign_ins(person: Client) -> None:
    body = {"current_password": "not it", "new_password": sc.new_password()}
    headers = address()
    codes = [(await person.call("POST", "/auth/password", body, headers=headers)).code for _ in range(6)]
    assert codes == ["invalid_credentials"] * 5 + ["locked_out"]


async def test_a_refresh_token_works_once(person: Client, cache: redis.Redis) -> None:
    first = person.refresh_token
    second = (await refresh(person, first)).json["refresh_token"]
    assert second != first
    third = await refresh(person, second)
    assert third.status == 200
    after_grace(cache)
    stolen = await refresh(person, second)
    assert (stolen.status, stolen.code) == (401, "refresh_reused")
    newest = third.json
    assert (await refresh(person, newest["refresh_token"])).code == "refresh_invalid", "the family is revoked"
    assert (await person.with_token(newest["access_token"]).call("GET", "/auth/me")).code == "session_ended"


async def test_a_token_older_than_the_last_exchange_is_reuse_even_within_the_grace(person: Client) -> None:
    first = person.refresh_token
    second = (await refresh(person, first)).json["refresh_token"]
    await refresh(person, second)
    assert (await refresh(person, first)).code == "refresh_reused"


async def test_tabs_that_refresh_at_the_same_moment_stay_signed_in(
    person: Client, cache: redis.Redis
) -> None:
    """Whichever answer's cookie wins in the browser, it goes on working."""
    answers = await asyncio.gather(*(refresh(person, person.refresh_token) for _ in range(8)))
    assert {answer.status for answer in answers} == {200}
    tokens = {answer.json["refresh_token"] for answer in answers}
    after_grace(cache)
    for token in tokens:
        assert (await refresh(person, token)).status == 200


@pytest.mark.parametrize("token", ["", "x", "a.b", "none.such.token", "ü.ü", "}:previous.x", "." * 199])
async def test_nonsense_is_no_refresh_token(person: Client, token: str) -> None:
    answer = await refresh(person, token)
    assert (answer.status, answer.code) == (401, "refresh_invalid")


async def test_the_browser_refreshes_with_its_cookie_alone(person: Client) -> None:
    cookie = (await login(person)).cookies[COOKIE].value
    renewed = await person.anonymous().call("POST", "/auth/refresh", headers={"Cookie": f"{COOKIE}={cookie}"})
    assert renewed.status == 200
    assert renewed.cookies[COOKIE].value != cookie


async def test_signing_out_stops_access_and_refresh_tokens_at_once(person: Client) -> None:
    cookie = (await login(person)).cookies[COOKIE].value
    headers = {"Cookie": f"{COOKIE}={cookie}"}
    renewed = await person.anonymous().call("POST", "/auth/refresh", headers=headers)
    cookie, token = renewed.cookies[COOKIE].value, renewed.json["access_token"]
    headers = {"Cookie": f"{COOKIE}={cookie}"}
    left = await person.anonymous().call("POST", "/auth/logout", headers=headers)
    assert left.status == 204
    assert (left.cookies[COOKIE].value, int(left.cookies[COOKIE]["max-age"])) == ("", 0)
    assert (await person.with_token(token).call("GET", "/auth/me")).code == "session_ended"
    assert (await person.anonymous().call("POST", "/auth/refresh", headers=headers)).status == 401
    assert (await person.anonymous().call("POST", "/auth/logout", headers=headers)).status == 204
    await person.get("/auth/me")  # the other session of the same person goes on


async def test_personal_access_tokens(person: Client, server: ServerProcess, stack: Any) -> None:
    created = await person.post("/auth/tokens", {"name": "CI 构建 🤖", "expires_in_days": 1}, expect=201)
    secret = created["token"]
    assert secret.startswith("rgp_")
    assert created["prefix"] == secret[: len(created["prefix"])]
    machine = person.with_token(secret)
    assert (await machine.get("/auth/me"))["id"] == person.user_id
    listed = await person.call("GET", "/auth/tokens")
    (entry,) = listed.json["items"]
    assert entry["last_used_at"] is not None
    assert secret not in listed.body.decode()
    assert (await machine.call("POST", "/auth/tokens", {"name": "another"})).code == "session_required"
    await person.delete(f"/auth/tokens/{created['id']}")
    assert (await machine.call("GET", "/auth/me")).code == "token_invalid"
    expired = await person.post("/auth/tokens", {"name": "other"}, expect=201)
    with stack.connect(dict(server.env)) as db:
        db.execute("UPDATE access_tokens SET expires_at = now() WHERE id = %s", [expired["id"]])
    assert (await person.with_token(expired["token"]).call("GET", "/auth/me")).code == "token_invalid"
    assert (await person.with_token(secret[:-1] + "x").call("GET", "/auth/me")).code == "token_invalid"


async def test_at_most_fifty_tokens(person: Client) -> None:
    for number in range(50):
        await person.post("/auth/tokens", {"name": f"token {number}"}, expect=201)
    assert (await person.call("POST", "/auth/tokens", {"name": "one more"})).code == "too_many_tokens"


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer ", "Basic YTpi", "Token x", "Bearer  ", "bearer a b c", "Bearer " + "x" * 9000],
)
async def test_a_strange_authorization_header_is_a_clear_401(anonymous: Client, header: str) -> None:
    answer = await anonymous.call("GET", "/auth/me", headers={"Authorization": header})
    assert (answer.status, answer.code) == (401, "token_invalid")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_the_address_of_a_proxy_is_believed_only_when_it_is_trusted(
    module_server_env: dict[str, str],
    server: ServerProcess,
    http: aiohttp.ClientSession,
    admin: Client,
    tmp_path: Any,
) -> None:
    email = f"ghost-{secrets.token_hex(3)}@example.com"
    body = {"email": email, "password": "x"}
    headers = {"X-Forwarded-For": "198.51.100.7", "X-Request-Id": f"proxy-{secrets.token_hex(4)}"}
    await Client(http, server.url).call("POST", "/auth/login", body, headers=headers)
    with sc.running_server(module_server_env, tmp_path) as direct:
        more = {**headers, "X-Request-Id": f"direct-{secrets.token_hex(4)}"}
        await Client(http, direct.url).call("POST", "/auth/login", body, headers=more)
    entries = {entry["request_id"]: entry for entry in (await admin.get("/audit?outcome=denied"))["items"]}
    assert entries[headers["X-Request-Id"]]["address"] == "198.51.100.7"
    assert entries[more["X-Request-Id"]]["address"] == "127.0.0.1"


def unlock(cache: redis.Redis) -> None:
    """As if every lock had run out."""
    for key in cache.scan_iter("signin:*:lock"):
        cache.delete(key)


def after_grace(cache: redis.Redis) -> None:
    """As if the ten seconds of grace were over."""
    for key in cache.scan_iter("refresh:*:previous"):
        cache.delete(key)
