"""Access tokens: what is accepted, what is forged, how keys are changed and how sessions outlive their tokens."""

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

import server_client as sc
from remotegpu.server.core.tokens import key_id
from server_client import Client, ServerProcess

OLD_KEY, NEW_KEY = "old-" + "k" * 40, "new-" + "k" * 40


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server(
    module_server_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    variables = {**module_server_env, "JWT_SECRET": OLD_KEY}
    with sc.running_server(variables, tmp_path_factory.mktemp("server")) as running:
        yield running


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def signed(claims: dict[str, Any], key: str = OLD_KEY, **header: Any) -> str:
    algorithm = {"alg": "HS256", "kid": key_id(OLD_KEY)} | header
    return jwt.encode(algorithm, claims, OctKey.import_key(key), algorithms=["HS256", "HS384", "HS512"])


def unsigned(claims: dict[str, Any], algorithm: str) -> str:
    def encoded(part: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()

    return f"{encoded({'alg': algorithm, 'kid': key_id(OLD_KEY)})}.{encoded(claims)}."


async def test_a_token_names_its_key_its_sign_in_and_its_end(admin: Client) -> None:
    claims = claims_of(str(admin.token))
    assert claims["exp"] - claims["iat"] == 15 * 60
    assert claims["sub"] == admin.user_id
    header = json.loads(base64.urlsafe_b64decode(str(admin.token).split(".")[0] + "=="))
    assert header == {"typ": "JWT", "alg": "HS256", "kid": key_id(OLD_KEY)} or header == {
        "alg": "HS256",
        "kid": key_id(OLD_KEY),
    }
    assert (await admin.with_token(signed(claims)).get("/auth/me"))["id"] == admin.user_id, (
        "this test can sign"
    )


async def test_forged_tokens_are_refused(admin: Client) -> None:
    good = claims_of(str(admin.token))
    now = int(time.time())
    without = {name: {k: v for k, v in good.items() if k != name} for name in good}
    payload = base64.urlsafe_b64encode(json.dumps(good | {"sub": "x"}).encode()).rstrip(b"=").decode()
    head, _, signature = str(admin.token).split(".")
    forged = {
        "another key under the right name": signed(good, NEW_KEY),
        "an unknown key": signed(good, NEW_KEY, kid=key_id(NEW_KEY)),
        "no key named, another used": jwt.encode({"alg": "HS256"}, good, OctKey.import_key(NEW_KEY)),
        "another algorithm": signed(good, alg="HS512"),
        "no algorithm": unsigned(good, "none"),
        "no algorithm, spelt differently": unsigned(good, "nOnE"),
        "no signature": unsigned(good, "HS256"),
        "expired": signed(good | {"iat": now - 100, "exp": now - 1}),
        "from the future": signed(good | {"iat": now + 3600, "exp": now + 7200}),
        "not valid yet": signed(good | {"nbf": now + 3600}),
        "another issuer": signed(good | {"iss": "elsewhere"}),
        "without issuer": signed(without["iss"]),
        "without end": signed(without["exp"]),
        "without subject": signed(without["sub"]),
        "without family": signed(without["fam"]),
        "a subject that is no id": signed(good | {"sub": "admin"}),
        "an end that is no number": signed(good | {"exp": "never"}),
        "content changed after signing": f"{head}.{payload}.{signature}",
        "an unknown person": signed(good | {"sub": "00000000-0000-7000-8000-000000000000"}),
        "cut": str(admin.token)[:-4],
        "three dots": "...",
        "not base64": "a.b.c",
        "json of another kind": f"{base64.urlsafe_b64encode(b'[]').decode()}.{payload}.{signature}",
    }
    problems: list[str] = []
    for what, token in forged.items():
        answer = await admin.with_token(token).call("GET", "/auth/me")
        if (answer.status, answer.code) != (401, "token_invalid"):
            problems.append(f"{what}: {answer.status} {answer.code}")
    ended = await admin.with_token(signed(good | {"fam": "another-family"})).call("GET", "/auth/me")
    assert ended.code == "session_ended"
    assert not problems, "\n".join(problems)


async def test_keys_are_changed_without_signing_anybody_out(
    module_server_env: dict[str, str],
    server: ServerProcess,
    admin: Client,
    directory: Path,
    http: aiohttp.ClientSession,
) -> None:
    """New first, old second; later the old one goes. Both servers share everything else, as instances do."""
    body = {"email": sc.ADMIN_EMAIL, "password": admin.password}
    old = await Client(http, server.url).sign_in(**body)
    both = {**module_server_env, "JWT_SECRET": f"{NEW_KEY}\n{OLD_KEY}"}
    with sc.running_server(both, directory) as rotating:
        at_new = Client(http, rotating.url, old.token)
        await at_new.get("/auth/me")
        renewed = await at_new.post("/auth/refresh", {"refresh_token": old.refresh_token}, headers=sc.IN_BODY)
    assert (await old.with_token(renewed["access_token"]).call("GET", "/auth/me")).status == 401, (
        "old server, new key"
    )
    only_new = {**module_server_env, "JWT_SECRET": NEW_KEY}
    with sc.running_server(only_new, directory) as rotated:
        late = Client(http, rotated.url)
        assert (await late.with_token(str(old.token)).call("GET", "/auth/me")).code == "token_invalid"
        await late.with_token(renewed["access_token"]).get("/auth/me")
        body = {"refresh_token": renewed["refresh_token"]}
        again = await late.post("/auth/refresh", body, headers=sc.IN_BODY)
        await late.with_token(again["access_token"]).get("/auth/me")


async def test_a_session_lives_as_long_as_it_is_used_and_can_still_be_ended(
    module_server_env: dict[str, str],
    admin: Client,
    directory: Path,
    http: aiohttp.ClientSession,
) -> None:
    """Renewed past the lifetime of its sign-in, a session must not be forgotten by whoever ends all of them."""
    quick = {
        **module_server_env,
        "JWT_SECRET": OLD_KEY,
        "JWT_ACCESS_EXPIRE": "1s",
        "JWT_REFRESH_EXPIRE": "3s",
    }
    member = await sc.new_member(admin, (await sc.new_customer(admin))["id"])
    with sc.running_server(quick, directory) as short:
        body = {"email": member.user["email"], "password": member.password}
        session = await Client(http, short.url).sign_in(**body)
        forgotten = await Client(http, short.url).sign_in(**body)
        await asyncio.sleep(2.1)
        assert (await session.call("GET", "/auth/me")).code == "token_invalid", "the access token has expired"
        await renew(session)
        await asyncio.sleep(2.1)
        await renew(session)
        assert (
            await forgotten.call("POST", "/auth/refresh", {"refresh_token": forgotten.refresh_token})
        ).status == 401
        await member.change_password(sc.new_password())
        answer = await session.call("POST", "/auth/refresh", {"refresh_token": session.refresh_token})
        assert (answer.status, answer.code) == (401, "refresh_invalid")


async def renew(client: Client) -> None:
    answer = await client.post("/auth/refresh", {"refresh_token": client.refresh_token}, headers=sc.IN_BODY)
    client.token, client.refresh_token = answer["access_token"], answer["refresh_token"]
