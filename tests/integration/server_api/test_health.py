"""The server says what is wrong while a part is away, in bounded time, and goes on by itself when it is back."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

import server_client as sc
from integration.server_api.gates import Gate, Gates, gates
from integration.server_api.world import new_public_key
from remotegpu.server.domains.auth import callers
from remotegpu.server.domains.machines import lists
from server_client import Client, ServerProcess

PARTS = ("database", "redis", "objects")
CHECKS = (*PARTS, "schema")
FORGOTTEN_AFTER_SECONDS = max(callers.REMEMBER_SECONDS, lists.REMEMBER_SECONDS) + 0.1
"""Until then a list, and who asks for it, may be answered from memory."""
BOUND_SECONDS = 8.0
"""3 s for the question itself, the rest for a test machine with much to do."""


@pytest.fixture(scope="module")
def doors(module_server_env: dict[str, str]) -> Iterator[Gates]:
    with gates(module_server_env) as opened:
        yield opened


@pytest.fixture(scope="module")
def server(
    module_server_env: dict[str, str], doors: Gates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    directory: Path = tmp_path_factory.mktemp("server")
    with sc.running_server(doors.through(module_server_env), directory) as running:
        yield running


async def until_ready(client: Client) -> float:
    """How long it took until everything answered again."""
    began = time.monotonic()
    for _ in range(300):
        if (await client.call("GET", "//health/ready")).status == 200:
            return time.monotonic() - began
        await asyncio.sleep(0.05)
    raise AssertionError("it did not become ready again")


async def test_alive_and_ready(anonymous: Client, server: ServerProcess) -> None:
    health = await anonymous.get("//health")
    assert health["status"] == "ok"
    assert health["instance"] == server.env["INSTANCE_NAME"]
    assert (await anonymous.get("//health/ready"))["checks"] == dict.fromkeys(CHECKS, "ok")


@pytest.mark.parametrize("how", ["shut", "freeze"])
@pytest.mark.parametrize("part", PARTS)
async def test_a_part_is_away_and_comes_back(
    doors: Gates, anonymous: Client, admin: Client, part: str, how: str
) -> None:
    door: Gate = getattr(doors, part)
    getattr(door, how)()
    try:
        began = time.monotonic()
        answer = await anonymous.call("GET", "//health/ready")
        seconds = time.monotonic() - began
        assert answer.status == 503
        found = answer.json
        assert found["ready"] is False
        assert "answer" in found["checks"].pop(part)
        if part == "database":
            assert "answer" in found["checks"].pop("schema"), "nobody can tell which schema it has"
        assert set(found["checks"].values()) == {"ok"}
        assert seconds < BOUND_SECONDS
        assert (await anonymous.get("//health"))["status"] == "ok", "the process itself lives"
    finally:
        door.open()
    assert await until_ready(anonymous) < 15
    await admin.get("/machines")  # nobody had to sign in again, nothing had to be restarted


@pytest.mark.parametrize(
    ("part", "code"), [("database", "database_unavailable"), ("redis", "cache_unavailable")]
)
async def test_calls_are_told_which_part_is_away(doors: Gates, admin: Client, part: str, code: str) -> None:
    door: Gate = getattr(doors, part)
    door.shut()
    await asyncio.sleep(FORGOTTEN_AFTER_SECONDS)
    try:
        began = time.monotonic()
        for method, path, body in [
            ("GET", "/machines", None),
            ("POST", "/customers", {"company_code": "while-away", "name": "x"}),
            ("POST", "/auth/login", {"email": sc.ADMIN_EMAIL, "password": admin.password}),
        ]:
            answer = await admin.call(method, path, body)
            assert (answer.status, answer.code) == (503, code), (path, answer.body)
            assert "try again" in answer.json["detail"]
        assert time.monotonic() - began < 3 * BOUND_SECONDS
    finally:
        door.open()
    await until_ready(admin)
    assert (await admin.get("/customers", params={"q": "while-away"}))["total"] == 0


async def test_a_cache_that_hangs_does_not_hang_the_callers(doors: Gates, admin: Client) -> None:
    doors.redis.freeze()
    await asyncio.sleep(FORGOTTEN_AFTER_SECONDS)
    try:
        began = time.monotonic()
        answers = await asyncio.gather(*(admin.call("GET", "/machines") for _ in range(5)))
        assert {(answer.status, answer.code) for answer in answers} == {(503, "cache_unavailable")}
        assert time.monotonic() - began < 2 * BOUND_SECONDS
    finally:
        doors.redis.open()
    await until_ready(admin)


async def test_everything_away_at_once(doors: Gates, anonymous: Client, admin: Client) -> None:
    for door in doors.all():
        door.shut()
    began = time.monotonic()
    answer = await anonymous.call("GET", "//health/ready")
    assert time.monotonic() - began < BOUND_SECONDS
    assert (answer.status, set(answer.json["checks"])) == (503, set(CHECKS))
    assert "ok" not in answer.json["checks"].values()
    for door in doors.all():
        door.open()
    assert await until_ready(anonymous) < 15
    await admin.get("/auth/me")


async def test_wake_ups_work_again_after_the_cache_was_away(
    doors: Gates, admin: Client, http: aiohttp.ClientSession
) -> None:
    doors.redis.shut()
    await asyncio.sleep(0.3)
    doors.redis.open()
    await until_ready(admin)
    headers = {"Authorization": f"Bearer {admin.token}"}
    async with http.get(admin.url("/events"), headers=headers) as stream:
        await stream.content.readline()
        await sc.new_customer(admin)
        async with asyncio.timeout(5):
            while b'"customers"' not in await stream.content.readline():
                pass


async def test_the_log_has_no_secret_even_of_failures(
    doors: Gates, server: ServerProcess, admin: Client, module_server_env: dict[str, str]
) -> None:
    """After everything above: sign-ins, tokens, keys, refusals, and errors with their tracebacks."""
    member = await sc.new_member(admin, (await sc.new_customer(admin))["id"])
    token = (await member.post("/auth/tokens", {"name": "t"}, expect=201))["token"]
    await member.with_token(token).get("/auth/me", headers={"Cookie": "rg_refresh=secret-cookie-value"})
    await member.call("POST", "/auth/login", {"email": "x@example.com", "password": "wrong-but-secret"})
    await member.post("/auth/ssh-keys", {"name": "k", "public_key": new_public_key()}, expect=201)
    doors.database.shut()
    await admin.call("POST", "/auth/login", {"email": sc.ADMIN_EMAIL, "password": admin.password})
    doors.database.open()
    await until_ready(admin)
    text = server.log_path.read_text(encoding="utf-8")
    secrets = [member.password, admin.password, token, str(member.token), member.refresh_token]
    secrets += ["secret-cookie-value", "wrong-but-secret"]
    secrets += [value for name, value in module_server_env.items() if name in SECRET_SETTINGS]
    assert [secret for secret in secrets if secret in text] == []
    assert '"level": "error"' in text or '"level": "warning"' in text, (
        "there were failures to be written down"
    )


SECRET_SETTINGS = {
    "DB_PASSWORD",
    "DB_OWNER_PASSWORD",
    "REDIS_PASSWORD",
    "S3_ACCESS_KEY",
    "S3_SECRET_KEY",
    "JWT_SECRET",
}
