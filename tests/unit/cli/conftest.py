"""A small HTTP server that speaks the API's contract, in its own thread, and an isolated home for the sign-in."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any  # Any: request and reply bodies are free-form JSON in these tests

import pytest
from aiohttp import web

from remotegpu.cli.credentials import Credentials, CredentialStore

MACHINE = {
    "id": "11111111-1111-4111-8111-111111111111",
    "name": "gpu-1",
    "state": "allocated",
    "reachable": True,
    "simulated": True,
    "gpu_count": 2,
    "gpu_model": "H100 (simulated)",
    "cpu_threads": 64,
    "memory_bytes": 2**38,
    "allocation": {"id": "a", "customer_name": "ACME", "ends_at": "2030-01-01T00:00:00Z", "state": "active"},
    "sample": {"gpus": [{"index": 0, "utilization_ratio": 0.5}, {"index": 1, "utilization_ratio": None}]},
}
USER = {"id": "u", "email": "max@acme.example", "role": "customer_member", "customer_name": "ACME"}
PASSWORD = "correct horse battery staple"


class StubServer:
    """Routes are ``(method, path) -> handler``; every request is kept as ``(method, path, body, token)``."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Any, str]] = []
        self.routes: dict[tuple[str, str], Callable[[web.Request, Any], Any]] = {}
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._up = threading.Event()

    def reply(self, method: str, path: str, body: Any, status: int = 200) -> None:
        self.routes[method, f"/api/v1{path}"] = lambda _request, _body: web.json_response(body, status=status)

    def problem(self, method: str, path: str, status: int, code: str, detail: str, **more: Any) -> None:
        self.reply(
            method, path, {"title": code, "status": status, "code": code, "detail": detail, **more}, status
        )

    def page(self, path: str, items: list[Any]) -> None:
        self.reply("GET", path, {"items": items, "total": len(items), "page": 1, "page_size": 200})

    def route(self, method: str, path: str, answer: Callable[[web.Request, Any], Any]) -> None:
        self.routes[method, f"/api/v1{path}"] = answer

    def calls(self, method: str, path: str) -> list[Any]:
        """Bodies of the requests to one route."""
        return [body for m, p, body, _ in self.requests if (m, p) == (method, f"/api/v1{path}")]

    def start(self) -> None:
        self._thread.start()
        assert self._up.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._up.set()
        self._loop.run_forever()

    async def _listen(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw) if raw else None
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.requests.append((request.method, request.path, body, token))
        route = self.routes.get((request.method, request.path))
        if route is None:
            return web.json_response({"code": "not_found", "detail": f"no {request.path}"}, status=404)
        answer = route(request, body)
        return await answer if asyncio.iscoroutine(answer) else answer


@pytest.fixture
def server() -> Iterator[StubServer]:
    stub = StubServer()
    stub.start()
    yield stub
    stub.stop()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CredentialStore:
    """An empty sign-in folder; nothing of the person who runs the tests is read."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("REMOTEGPU_SERVER_URL", raising=False)
    monkeypatch.delenv("REMOTEGPU_TOKEN", raising=False)
    return CredentialStore()


@pytest.fixture
def signed_in(server: StubServer, store: CredentialStore) -> StubServer:
    """Somebody is signed in, with a token that is good for a while."""
    store.write(
        Credentials(
            server=server.url,
            email=USER["email"],
            access_token="access-1",
            refresh_token="refresh-1",
            expires_at=time.time() + 900,
        )
    )
    server.page("/machines", [MACHINE])
    server.reply("GET", f"/machines/{MACHINE['id']}", MACHINE)
    return server


def tokens(number: int, *, must_change: bool = False) -> dict[str, Any]:
    """The reply of login, refresh and password."""
    return {
        "access_token": f"access-{number}",
        "refresh_token": f"refresh-{number}",
        "expires_in": 900,
        "user": USER,
        "must_change_password": must_change,
    }
