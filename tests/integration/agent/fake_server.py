"""A server that speaks the agent protocol and remembers everything, with the ability to misbehave."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from newer_protocol import with_unknown_fields
from remotegpu.protocol.attempts import (
    LOG_CHUNK_BYTES,
    ArtifactOffer,
    ArtifactUpload,
    ArtifactUrl,
    AttemptReport,
    AttemptSpec,
    LogAck,
)
from remotegpu.protocol.enrolment import EnrolRequest, EnrolResponse, TokenRotation
from remotegpu.protocol.sync import AccountSpec, DesiredState, SyncRequest, SyncResponse
from remotegpu.protocol.version import PROTOCOL_HEADER, PROTOCOL_VERSION, is_compatible

ACCOUNT = AccountSpec(name="acme", allocation_id="alloc-1")


@dataclass
class FakeServer:
    """``url`` after :meth:`start`. ``desired`` is changed through :meth:`want`."""

    desired: DesiredState = field(default_factory=lambda: DesiredState(revision=1, accounts=[ACCOUNT]))
    token: str = "node-token"
    syncs: list[SyncRequest] = field(default_factory=list)
    reports: dict[str, list[AttemptReport]] = field(default_factory=dict)
    logs: dict[str, bytearray] = field(default_factory=dict)
    log_final: set[str] = field(default_factory=set)
    log_arrivals: dict[str, list[float]] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    enrolments: list[EnrolRequest] = field(default_factory=list)
    refused_attempts: list[str] = field(default_factory=list)
    forget_logs_once: bool = False
    store_is_away: bool = False
    status: int = 200
    newer: bool = False
    """Answer as a server one minor version ahead: with fields the agent has never heard of."""
    wait_s: float = 25.0
    url: str = ""
    port: int = 0

    async def start(self) -> None:
        """Listen on a free port, or again on the one it had."""
        self._changed = asyncio.Condition()
        app = web.Application(client_max_size=16 * 1024 * 1024, middlewares=[self._extend])
        app.router.add_post("/api/v1/agent/sync", self._sync)
        app.router.add_post("/api/v1/agent/enroll", self._enrol)
        app.router.add_post("/api/v1/agent/token", self._rotate)
        app.router.add_post("/api/v1/agent/attempts/{id}/log", self._log)
        app.router.add_post("/api/v1/agent/attempts/{id}/artifacts", self._offer)
        app.router.add_put("/store/{id}/{path:.*}", self._put)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        """Refuse connections from now on, cutting those that are open."""
        await self._runner.cleanup()

    async def want(self, **changes: Any) -> None:
        """Change the desired state and wake the standing poll."""
        self.desired = msgspec.structs.replace(self.desired, revision=self.desired.revision + 1, **changes)
        async with self._changed:
            self._changed.notify_all()

    async def run(self, *specs: AttemptSpec) -> None:
        """Add attempts to the desired state."""
        await self.want(attempts=[*self.desired.attempts, *specs])

    async def report(self, attempt_id: str, *states: str, timeout: float = 20) -> AttemptReport:  # noqa: ASYNC109
        """The first report of ``attempt_id`` with one of ``states``."""
        deadline = asyncio.get_running_loop().time() + timeout
        while asyncio.get_running_loop().time() < deadline:
            for report in self.reports.get(attempt_id, []):
                if report.state in states:
                    return report
            await asyncio.sleep(0.01)
        raise AssertionError(f"no report {states} of {attempt_id}, but {self.reports.get(attempt_id)}")

    def account_states(self) -> set[tuple[str, str, str]]:
        """What was said about accounts in the latest report."""
        return {
            (each.name, each.allocation_id, each.state) for sync in self.syncs[-1:] for each in sync.accounts
        }

    @web.middleware
    async def _extend(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        if self.newer and isinstance(answer, web.Response) and isinstance(answer.body, bytes):
            answer.body = with_unknown_fields(answer.body)
        return answer

    async def _sync(self, request: web.Request) -> web.Response:
        if refusal := self._refusal(request):
            return refusal
        message = msgspec.json.decode(await request.read(), type=SyncRequest)
        self.syncs.append(message)
        for report in message.attempts:
            self.reports.setdefault(report.attempt_id, []).append(report)
        if message.wait and message.applied_revision == self.desired.revision:
            await self._wait_for_change()
        changed = message.applied_revision != self.desired.revision
        return _json(
            SyncResponse(
                desired=self.desired if changed else None,
                want_inventory=False,
                refused_attempts=self.refused_attempts,
            )
        )

    async def _wait_for_change(self) -> None:
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait(), self.wait_s)
            except TimeoutError:
                return

    async def _enrol(self, request: web.Request) -> web.Response:
        message = msgspec.json.decode(await request.read(), type=EnrolRequest)
        if message.join_token != "join-token":
            return _problem(401, "invalid_join_token", "The join token has expired.")
        self.enrolments.append(message)
        return _json(EnrolResponse(machine_id="machine-1", agent_token=self.token))

    async def _rotate(self, request: web.Request) -> web.Response:
        if refusal := self._refusal(request):
            return refusal
        self.token = self.token + "-rotated"
        return _json(TokenRotation(agent_token=self.token, overlap_s=60))

    async def _log(self, request: web.Request) -> web.Response:
        if refusal := self._refusal(request):
            return refusal
        attempt_id, body = request.match_info["id"], await request.read()
        assert len(body) <= LOG_CHUNK_BYTES
        if self.forget_logs_once and self.logs.get(attempt_id):
            self.forget_logs_once = False
            self.logs[attempt_id] = bytearray()
        stored = self.logs.setdefault(attempt_id, bytearray())
        if int(request.query["offset"]) != len(stored):
            return _json(LogAck(next_offset=len(stored), accepted=False))
        stored += body
        self.log_arrivals.setdefault(attempt_id, []).append(asyncio.get_running_loop().time())
        if request.query["final"] == "1":
            self.log_final.add(attempt_id)
        return _json(LogAck(next_offset=len(stored), accepted=True))

    async def _offer(self, request: web.Request) -> web.Response:
        if refusal := self._refusal(request):
            return refusal
        attempt_id = request.match_info["id"]
        offer = msgspec.json.decode(await request.read(), type=ArtifactOffer)
        urls = [
            ArtifactUrl(path=file.path, url=f"{self.url}/store/{attempt_id}/{index}-{file.sha256}")
            for index, file in enumerate(offer.files)
        ]
        return _json(ArtifactUpload(urls=urls))

    async def _put(self, request: web.Request) -> web.Response:
        if self.store_is_away:
            return web.Response(status=503)
        assert "Authorization" not in request.headers, "the object store must not see the node token"
        assert request.content_length is not None
        body = await request.read()
        digest = request.match_info["path"].partition("-")[2]
        assert hashlib.sha256(body).hexdigest() == digest
        self.objects[digest] = body
        return web.Response()

    def _refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return _problem(401, "invalid_token", "This node's token is not known.")
        if not is_compatible(request.headers[PROTOCOL_HEADER]):
            return _problem(426, "protocol_too_old", f"Expected {PROTOCOL_VERSION}.")
        return _problem(self.status, "made_up", "As the test wants.") if self.status != 200 else None


def _json(message: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(message), content_type="application/json")


def _problem(status: int, code: str, detail: str) -> web.Response:
    body = msgspec.json.encode({"title": code, "status": status, "code": code, "detail": detail})
    return web.Response(status=status, body=body, content_type="application/problem+json")
