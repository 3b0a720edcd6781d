"""What happens around every request: request id, caller's address, one log line, metrics, security headers."""

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable

import msgspec
import structlog
from litestar import Litestar
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import Counter, Histogram

from remotegpu.server import refusals
from remotegpu.server.core import context, problems
from remotegpu.server.core.context import RequestContext
from remotegpu.server.core.errors import UnavailableError

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (
        b"content-security-policy",
        (
            b"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
            b"object-src 'none'; base-uri 'self'; frame-ancestors 'none'"
        ),
    ),
]
QUIET = {"/health", "/health/ready", "/metrics", "/api/v1/agent/sync"}
"""Paths whose every call would bury the log; failures of them are logged all the same."""

METHODS = {"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "WS"}
"""Any other word can be sent as a method too; metric labels must stay few."""
HANDSHAKES = {"websocket.accept": 101, "websocket.close": 403}
"""What the first message of a WebSocket handler means for the HTTP request that asked for it."""

REQUESTS = Counter("remotegpu_http_requests_total", "HTTP requests", ["method", "route", "status"])
LATENCY = Histogram(
    "remotegpu_http_request_duration_seconds",
    "Time to the last byte; long polls and streams are left out",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
LONG_LIVED = ("/agent/sync", "/agent/streams", "/events", "/log/stream", "/terminal", "/ssh")
STOPPING = UnavailableError("the server is being restarted; try again in a moment", code="restarting")

log = structlog.get_logger()


class Waiting:
    """Polls and event streams in progress: answers that take as long as nothing happens."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], Scope] = {}

    async def run(self, scope: Scope, work: Awaitable[None]) -> bool:
        """Do the ``work`` of one request. False: it was cut off because the server stops."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = scope
        try:
            await work
        except asyncio.CancelledError:
            if scope["type"] != "http":
                raise
            return False
        finally:
            del self._tasks[task]
        return True

    def cut_off(self) -> None:
        """Whoever waits is told to come back, to this server's successor."""
        for task, scope in self._tasks.items():
            if scope["type"] == "http" and refusals.route_of(scope).endswith(LONG_LIVED):
                task.cancel()


def observed(app: Litestar, waiting: Waiting) -> ASGIApp:
    """``app`` with all of this around it, also around paths that lead nowhere."""
    services = app.state["services"]

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await app(scope, receive, send)
            return
        request = RequestContext(request_id=_request_id(scope), address=_address(scope))
        context.enter(request)
        started, status = time.perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if request.refusal is not None:
                await refusals.record(services, scope)
            status = status or HANDSHAKES.get(message["type"], 0)
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _complete(list(message["headers"]), scope["path"], request.request_id)
            await send(message)

        try:
            if not await waiting.run(scope, app(scope, receive, send_with_headers)):
                await _end_early(send_with_headers, started=bool(status))
        finally:
            _observe(scope, status, time.perf_counter() - started)

    return middleware


async def _end_early(send: Send, *, started: bool) -> None:
    """The end of a stream, or an answer in place of the one that did not come in time."""
    body = b""
    if not started:
        body = msgspec.json.encode(problems.respond(STOPPING).content)
        kind = [(b"content-type", problems.MEDIA_TYPE.encode()), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 503, "headers": kind})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _complete(headers: list[tuple[bytes, bytes]], path: str, request_id: str) -> list[tuple[bytes, bytes]]:
    """The answer's headers with ours. Answers of the API hold people's data and secrets shown once: never cached."""
    names = {name.lower() for name, _ in headers}
    ours = [(b"x-request-id", request_id.encode()), *SECURITY_HEADERS]
    if path.startswith("/api/"):
        ours.append((b"cache-control", b"no-store"))
    return headers + [(name, value) for name, value in ours if name not in names]


def _request_id(scope: Scope) -> str:
    """The proxy's request id when it is a sane one, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            return value.decode()
    return f"req-{uuid.uuid4().hex[:16]}"


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _observe(scope: Scope, status: int, seconds: float) -> None:
    path, method = scope["path"], scope.get("method", "WS")
    route, label = refusals.route_of(scope), method if method in METHODS else "OTHER"
    REQUESTS.labels(label, route, str(status or "none")).inc()
    if not route.endswith(LONG_LIVED):
        LATENCY.labels(label, route).observe(seconds)
    if path in QUIET and status < 400:
        return
    log.info("request handled", method=method, path=path, status=status, latency_ms=round(seconds * 1000, 1))
