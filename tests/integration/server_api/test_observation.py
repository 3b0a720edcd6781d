"""What is seen of the server from outside: log lines, metrics, security headers."""

import asyncio
import re
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

import server_client as sc
from integration.server_api.routes import endpoints
from server_client import Client, ServerProcess

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")


async def handled(server: ServerProcess, request_id: str) -> dict[str, Any]:
    """The log line of a request; it is written just after the answer left."""
    for _ in range(50):
        lines = [line for line in server.log_lines() if line.get("request_id") == request_id]
        found = [line for line in lines if line["msg"] == "request handled"]
        if found:
            (line,) = found
            return line
        await asyncio.sleep(0.05)
    raise AssertionError(f"no line for {request_id}")


async def test_every_request_is_one_json_line_with_the_agreed_fields(
    server: ServerProcess, admin: Client
) -> None:
    await admin.get("/machines?q=not-in-the-path", headers={"X-Request-Id": "req-abc-123-log"})
    line = await handled(server, "req-abc-123-log")
    assert {
        name: line[name] for name in ("level", "msg", "method", "path", "status", "user_id", "request_id")
    } == {
        "level": "info",
        "msg": "request handled",
        "method": "GET",
        "path": "/api/v1/machines",
        "status": 200,
        "user_id": admin.user_id,
        "request_id": "req-abc-123-log",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["time"])
    assert 0 < line["latency_ms"] < 60_000


async def test_refusals_and_sign_ins_are_lines_too(
    server: ServerProcess, anonymous: Client, admin: Client
) -> None:
    await anonymous.call("GET", "/nowhere", headers={"X-Request-Id": "req-nowhere-1"})
    line = await handled(server, "req-nowhere-1")
    assert (line["status"], "user_id" in line) == (404, False)
    body = {"email": sc.ADMIN_EMAIL, "password": admin.password}
    await anonymous.post("/auth/login", body, headers={"X-Request-Id": "req-sign-in-1"})
    assert (await handled(server, "req-sign-in-1"))["user_id"] == admin.user_id
    path = f"/machines/{'0' * 8}-0000-7000-8000-{'0' * 12}/ssh"
    try:
        async with anonymous.http.ws_connect(anonymous.url(path), headers={"X-Request-Id": "req-socket-1"}):
            pass
    except aiohttp.WSServerHandshakeError:
        line = await handled(server, "req-socket-1")
    assert (line["method"], line["status"]) == ("WS", 403)


async def test_every_line_of_the_log_is_json(server: ServerProcess, anonymous: Client) -> None:
    await anonymous.call("GET", "//health")
    lines = server.log_lines()
    assert all({"time", "level", "msg"} <= line.keys() for line in lines)


async def test_metrics_are_well_formed_and_few(admin: Client, anonymous: Client) -> None:
    await admin.get("/machines")
    for number in range(30):
        await anonymous.call("GET", f"/no/such/{number}")
        await admin.call("GET", f"/tasks/{'0' * 7}{number % 10}-0000-7000-8000-000000000000")
    answer = await anonymous.call("GET", "//metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(answer.body.decode())}
    requests = families["remotegpu_http_requests"]
    labels = [sample.labels for sample in requests.samples if sample.name.endswith("_total")]
    routes = {label["route"] for label in labels}
    known = {
        path for endpoint in endpoints() for path in (endpoint.path, endpoint.path.removeprefix("/api/v1"))
    }
    assert routes <= known | {"unknown"}, routes - known
    assert not any(UUID.search(route) for route in routes)
    counted = {(label["method"], label["route"], label["status"]) for label in labels}
    assert ("GET", "/machines", "200") in counted
    assert "remotegpu_http_request_duration_seconds" in families
    assert "process_resident_memory_bytes" in families


async def test_answers_carry_the_headers_that_protect_browsers(admin: Client) -> None:
    for path in ("/machines", "/nowhere", "//", "//health"):
        headers = (await admin.call("GET", path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "Server" not in headers
        assert "Access-Control-Allow-Origin" not in headers
        if not path.startswith("//"):
            assert headers["Cache-Control"] == "no-store"
