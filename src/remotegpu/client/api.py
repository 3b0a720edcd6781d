"""One request to ``/api/v1``: token, time limits, and problems as exceptions."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from remotegpu.client.errors import ApiError, NotSignedInError, UnreachableError, UsageError
from remotegpu.client.tokens import NoToken, TokenSource

T = TypeVar("T")
Params = Mapping[str, str | int | float]

PREFIX = "/api/v1"
PAGE_SIZE = 200
"""Largest page the server gives."""
CONNECT_TIMEOUT_S = 10.0
REQUEST_TIMEOUT_S = 60.0
STREAM_SILENCE_S = 60.0
"""The server sends a comment every 15 s on an event stream: four missed ones mean a dead connection."""


class FieldProblem(msgspec.Struct):
    field: str = ""
    found: msgspec.Raw = msgspec.Raw(b'""')
    expected: str = ""


class Problem(msgspec.Struct):
    """RFC 9457 body of a refusal, with the fields the server adds."""

    title: str = ""
    detail: str = ""
    code: str = ""
    request_id: str = ""
    errors: list[FieldProblem] = []


class Page(msgspec.Struct):
    items: list[msgspec.Raw]
    total: int


class Api:
    """A connection to one server. Use as ``async with Api(url, tokens) as api``."""

    def __init__(self, server: str, tokens: TokenSource | None = None) -> None:
        self.server = normalized(server)
        self._tokens = tokens or NoToken()
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S),
            trust_env=not is_loopback(self.server),  # a company's proxy, but never for this very machine
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def get(self, path: str, of: type[T], params: Params | None = None) -> T:
        return decode(await self.send("GET", path, params=params), of)

    async def post(self, path: str, of: type[T], body: object = None, *, idempotent: bool = False) -> T:
        """``idempotent`` sends a fresh Idempotency-Key, so that a repeat after a lost answer changes nothing twice."""
        headers = {"Idempotency-Key": str(uuid.uuid4())} if idempotent else {}
        return decode(await self.send("POST", path, body=body, headers=headers), of)

    async def items(self, path: str, params: Params | None = None) -> list[msgspec.Raw]:
        """Every item of a paged list, still encoded."""
        found: list[msgspec.Raw] = []
        number = 1
        while True:
            query: Params = {**(params or {}), "page": number, "page_size": PAGE_SIZE}
            page = await self.get(path, Page, query)
            found += page.items
            if len(found) >= page.total or not page.items:
                return found
            number += 1

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The body of a 2xx answer. Raises :class:`ApiError`, :class:`NotSignedInError`, :class:`UnreachableError`."""
        content = None if body is None else msgspec.json.encode(body)
        more = {**(headers or {}), **({"Content-Type": "application/json"} if content is not None else {})}
        async with self._request(method, path, content=content, params=params, headers=more) as answer:
            return await answer.read()

    @asynccontextmanager
    async def stream(self, path: str, params: Params | None = None) -> AsyncGenerator[aiohttp.StreamReader]:
        """An answer that arrives over time; raises like :meth:`send`, also when it breaks off."""
        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=STREAM_SILENCE_S)
        async with self._request("GET", path, params=params, limits=limits) as answer:
            yield answer.content

    @asynccontextmanager
    async def websocket(
        self, path: str, params: Params | None = None
    ) -> AsyncGenerator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket with the same sign-in. A handshake that is refused raises :class:`ApiError`."""
        token = await self._tokens.bearer()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            socket = await self._session.ws_connect(
                self.url(path), params=params, headers=headers, heartbeat=20, max_msg_size=0
            )
        except aiohttp.WSServerHandshakeError as error:
            raise refused_handshake(error) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(self.server, error) from error
        try:
            yield socket
        finally:
            await socket.close()

    def url(self, path: str) -> str:
        return f"{self.server}{PREFIX}{path}"

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        limits: aiohttp.ClientTimeout | None = None,
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Sends once, and once more with a renewed token when the first was refused with 401."""
        token = await self._tokens.bearer()
        try:
            for attempt in (1, 2):
                sent = {**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
                async with self._session.request(
                    method, self.url(path), data=content, params=params, headers=sent, timeout=limits
                ) as answer:
                    if answer.status == 401 and token and attempt == 1:
                        token = await self._tokens.renew(token)
                        if token:
                            continue
                    if answer.status >= 400:
                        raise refusal(answer.status, await answer.read(), signed_in=bool(token))
                    yield answer
                    return
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise unreachable(self.server, error) from error

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            raise RuntimeError("Api is used outside `async with Api(...)`")
        return self._http


def decode(body: bytes, of: type[T]) -> T:
    """The reply as ``of``; ``None`` for an empty one. A reply of another shape is an :class:`ApiError`."""
    if of is type(None):
        return msgspec.convert(None, of)
    try:
        return msgspec.json.decode(body, type=of)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        text = body[:80].decode(errors="replace")
        raise ApiError(
            200,
            "unexpected_reply",
            f"a reply that is not the API's: {text!r} ({error})",
            "JSON of RemoteGPU's API",
            "check that the server URL is a RemoteGPU server of the same version",
        ) from error


def refusal(status: int, body: bytes, *, signed_in: bool) -> ApiError | NotSignedInError:
    """Turns a problem document, or whatever a proxy sent instead, into the exception to raise."""
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except (msgspec.DecodeError, msgspec.ValidationError):
        problem = Problem(detail=body[:200].decode(errors="replace"))
    text = problem.detail or problem.title or f"HTTP status {status}"
    if status == 401 and problem.code not in {"invalid_credentials", "refresh_reused"}:
        found = f"the server refused the sign-in: {text}" if signed_in else "no sign-in"
        return NotSignedInError(found, "a valid sign-in", "remotegpu login")
    expected = "; ".join(f"{each.field}: {each.expected}" for each in problem.errors)
    reference = f"the server's log has request {problem.request_id}" if problem.request_id else ""
    return ApiError(
        status, problem.code or f"http_{status}", text, expected, reference if status >= 500 else ""
    )


def refused_handshake(error: aiohttp.WSServerHandshakeError) -> ApiError | NotSignedInError:
    return refusal(error.status, b"", signed_in=error.status != 401)


def unreachable(server: str, error: Exception) -> UnreachableError:
    reason = str(error) or type(error).__name__
    return UnreachableError(
        f"no answer from {server} ({reason})",
        "a RemoteGPU server there",
        "check the address (remotegpu login --server URL) and the network, then try again",
    )


def normalized(server: str) -> str:
    """``https://host:port`` without a trailing slash. Raises :class:`UsageError` for anything else."""
    parts = urlsplit(server)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(
            f"server {server!r}", "a URL such as https://gpu.example.com", "remotegpu login --server URL"
        )
    return server.rstrip("/")


def is_loopback(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
