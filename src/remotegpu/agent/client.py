"""HTTP and WebSocket calls to the server. Each is tried once; who calls decides about trying again."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from typing import BinaryIO, TypeVar

import aiohttp
import msgspec

from remotegpu.agent.tasks.artifacts import READ_BYTES
from remotegpu.agent.tasks.uplink import (
    AttemptGoneError,
    ContentChangedError,
    RejectedError,
    UnreachableError,
)
from remotegpu.protocol.attempts import ArtifactFile, ArtifactOffer, ArtifactUpload, ArtifactUrl, LogAck
from remotegpu.protocol.enrolment import EnrolRequest, EnrolResponse, TokenRotation
from remotegpu.protocol.streams import FRAME_BYTES
from remotegpu.protocol.sync import SYNC_WAIT_S, SyncRequest, SyncResponse
from remotegpu.protocol.version import PROTOCOL_HEADER, PROTOCOL_VERSION

T = TypeVar("T")

CALL_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10.0
STALL_TIMEOUT_S = 60.0
"""An upload may take as long as it likes, but not stand still for longer."""


class TokenRefusedError(Exception):
    """401: the token is unknown, expired or revoked."""


class ProtocolRefusedError(Exception):
    """426: this agent's protocol version is too far from the server's; the message says which it expects."""


class ServerClient:
    """One connection pool to one server. Implements :class:`remotegpu.agent.tasks.uplink.Uplink`."""

    def __init__(self, server_url: str, token: str = "") -> None:
        self.token = token
        self._base = f"{server_url.rstrip('/')}/api/v1/agent"
        self._root = server_url.rstrip("/")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=64, keepalive_timeout=30, enable_cleanup_closed=False),
            cookie_jar=aiohttp.DummyCookieJar(),
            raise_for_status=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def enrol(self, request: EnrolRequest) -> EnrolResponse:
        """Exchange the join token."""
        return await self._post("/enroll", request, EnrolResponse)

    async def rotate_token(self) -> TokenRotation:
        """Get the next node token; using it from now on is the caller's part."""
        return await self._post("/token", None, TokenRotation)

    async def sync(self, request: SyncRequest) -> SyncResponse:
        """Say what is, hear what should be. Takes up to ``SYNC_WAIT_S`` when ``request.wait``."""
        patience = SYNC_WAIT_S + CALL_TIMEOUT_S if request.wait else CALL_TIMEOUT_S
        return await self._post("/sync", request, SyncResponse, timeout_s=patience)

    async def push_log(self, attempt_id: str, offset: int, content: bytes, *, final: bool) -> LogAck:
        """Send a piece of the log."""
        path = f"/attempts/{attempt_id}/log?offset={offset}&final={int(final)}"
        return await self._attempt_post(path, content, LogAck, "application/octet-stream")

    async def offer_artifacts(self, attempt_id: str, files: list[ArtifactFile]) -> list[ArtifactUrl]:
        """Ask for presigned URLs."""
        offer = msgspec.json.encode(ArtifactOffer(files=files))
        path = f"/attempts/{attempt_id}/artifacts"
        return (await self._attempt_post(path, offer, ArtifactUpload, "application/json")).urls

    async def put_artifact(self, url: str, file: ArtifactFile, source: BinaryIO) -> None:
        """PUT to the object store, which must not get the node token. The content is checked while it is read."""
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S, sock_read=STALL_TIMEOUT_S)
        headers = {"Content-Length": str(file.size_bytes), "Content-Type": "application/octet-stream"}
        body = _checked_content(file, source) if file.size_bytes else b""
        try:
            async with self._session.put(url, data=body, headers=headers, timeout=timeout) as response:
                detail = await response.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(error.__cause__, ContentChangedError):
                raise error.__cause__ from error
            raise UnreachableError(f"object store: {_reason(error)}") from error
        if response.status >= 300:  # a presigned URL that has expired answers 403: ask for a new one
            raise UnreachableError(f"object store answered {response.status}: {detail[:200]}")

    async def dial(self, path: str) -> aiohttp.ClientWebSocketResponse:
        """Open the WebSocket of a stream. ``path`` starts with ``/`` and carries its query."""
        return await self._session.ws_connect(
            self._root + path,
            headers=self._headers(),
            max_msg_size=4 * FRAME_BYTES,
            heartbeat=30.0,
        )

    async def _attempt_post(self, path: str, body: bytes, kind: type[T], content_type: str) -> T:
        """A call about one attempt: 404, 409 and 410 mean that the server wants nothing more of it."""
        status, answer = await self._send(path, body, content_type, CALL_TIMEOUT_S)
        if status in {404, 409, 410}:
            raise AttemptGoneError(_detail(status, answer))
        return _decoded(status, answer, kind)

    async def _post(
        self, path: str, message: msgspec.Struct | None, kind: type[T], *, timeout_s: float = CALL_TIMEOUT_S
    ) -> T:
        body = msgspec.json.encode(message) if message is not None else b""
        status, answer = await self._send(path, body, "application/json", timeout_s)
        return _decoded(status, answer, kind)

    async def _send(self, path: str, body: bytes, content_type: str, timeout_s: float) -> tuple[int, bytes]:
        timeout = aiohttp.ClientTimeout(total=timeout_s, connect=CONNECT_TIMEOUT_S)
        headers = self._headers() | {"Content-Type": content_type}
        try:
            async with self._session.post(
                self._base + path, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(_reason(error)) from error

    def _headers(self) -> dict[str, str]:
        headers = {PROTOCOL_HEADER: PROTOCOL_VERSION}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return headers


async def _checked_content(file: ArtifactFile, source: BinaryIO) -> AsyncIterator[bytes]:
    """Exactly the announced bytes; raises before the last piece when they are not what was announced."""
    digest, left = hashlib.sha256(), file.size_bytes
    while left:
        piece = await asyncio.to_thread(source.read, min(READ_BYTES, left))
        digest.update(piece)
        left -= len(piece)
        if not piece or (not left and digest.hexdigest() != file.sha256):
            raise ContentChangedError(f"{file.path} changed while it was sent")
        yield piece


def _decoded(status: int, answer: bytes, kind: type[T]) -> T:
    if 200 <= status < 300:
        try:
            return msgspec.json.decode(answer, type=kind)
        except msgspec.MsgspecError as error:
            raise UnreachableError(f"answer is not {kind.__name__}: {error}") from error
    detail = _detail(status, answer)
    if status == 401:
        raise TokenRefusedError(detail)
    if status == 426:
        raise ProtocolRefusedError(detail)
    if status >= 500 or status in {408, 425, 429}:
        raise UnreachableError(detail)
    raise RejectedError(detail)


class _Problem(msgspec.Struct):
    """The parts of an RFC 9457 body that a log line needs."""

    title: str = ""
    detail: str = ""
    code: str = ""


def _detail(status: int, answer: bytes) -> str:
    """``403 token_expired: the join token expired …`` out of whatever was answered."""
    try:
        problem = msgspec.json.decode(answer, type=_Problem)
    except msgspec.MsgspecError:
        return f"{status}: {answer[:200].decode('utf-8', 'replace').strip() or 'no explanation'}"
    return f"{status} {problem.code}: {problem.detail or problem.title}".replace(" : ", ": ")


def _reason(error: BaseException) -> str:
    """One line that says what to look at."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError | ssl.SSLError):
        return f"TLS: {error}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
