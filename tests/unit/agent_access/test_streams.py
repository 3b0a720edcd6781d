"""Dialling: each stream once, patiently where that helps, and an end that does not wait for the other side."""

import asyncio
from unittest.mock import Mock

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from remotegpu.agent.access import streams
from remotegpu.agent.access.streams import Streams
from remotegpu.agent.access.transport import AgentStream
from remotegpu.protocol.sync import StreamSpec


@pytest.fixture(autouse=True)
def no_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "DIAL_DELAYS_S", (0.0, 0.0, 0.0))


class _Server:
    """Counts dials; answers each with the next of ``answers``, then with sockets."""

    def __init__(self, *answers: Exception) -> None:
        self.dialled: list[str] = []
        self.served = 0
        self._answers = list(answers)

    async def dial(self, path: str) -> aiohttp.ClientWebSocketResponse:
        self.dialled.append(path)
        if self._answers:
            raise self._answers.pop(0)
        return Mock()

    async def serve(self, _stream: AgentStream) -> None:
        self.served += 1

    def streams(self) -> Streams:
        return Streams(self.dial, self.serve)


def _spec(number: int, target: str = "ssh") -> StreamSpec:
    return StreamSpec(stream_id=f"s{number}", path=f"/s{number}?via=x", target=target)


def _refusal(status: int) -> aiohttp.WSServerHandshakeError:
    info = aiohttp.RequestInfo(URL("http://x"), "GET", CIMultiDictProxy(CIMultiDict[str]()), URL("http://x"))
    return aiohttp.WSServerHandshakeError(info, (), status=status)


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_each_stream_is_dialled_once_however_often_it_is_listed() -> None:
    server = _Server()
    subject = server.streams()
    for listed in ([_spec(1)], [_spec(1), _spec(2)], [_spec(2)], [_spec(2)]):
        subject.apply(listed)
        await _settle()
    assert server.dialled == ["/s1?via=x", "/s2?via=x"]
    assert server.served == 2


@pytest.mark.parametrize(
    "problem", [ConnectionRefusedError(), TimeoutError(), aiohttp.ServerDisconnectedError(), _refusal(502)]
)
async def test_a_server_that_is_just_restarting_is_tried_again(problem: Exception) -> None:
    server = _Server(problem)
    server.streams().apply([_spec(1)])
    await _settle()
    assert len(server.dialled) == 2
    assert server.served == 1


@pytest.mark.parametrize("status", [401, 404, 410])
async def test_a_stream_the_server_no_longer_wants_is_let_go(status: int) -> None:
    server = _Server(_refusal(status))
    server.streams().apply([_spec(1)])
    await _settle()
    assert len(server.dialled) == 1
    assert server.served == 0


async def test_a_server_that_stays_away_is_given_up() -> None:
    server = _Server(*[ConnectionRefusedError()] * 9)
    server.streams().apply([_spec(1)])
    await _settle()
    assert len(server.dialled) == 3


async def test_a_target_this_agent_does_not_know_is_not_dialled() -> None:
    server = _Server()
    server.streams().apply([_spec(1, target="vnc"), _spec(2)])
    await _settle()
    assert server.dialled == ["/s2?via=x"]


async def test_a_stream_that_breaks_does_not_take_the_others_along() -> None:
    server = _Server()

    async def broken(_stream: AgentStream) -> None:
        raise ZeroDivisionError

    serve = iter([broken, server.serve])

    async def serve_next(stream: AgentStream) -> None:
        await next(serve)(stream)

    subject = Streams(server.dial, serve_next)
    subject.apply([_spec(1), _spec(2)])
    await _settle()
    assert server.served == 1


class _StuckSocket:
    """Takes no bytes and sends none, as behind a client that was suspended."""

    def __init__(self) -> None:
        self.closed_with: tuple[int, bytes] | None = None
        self.sent: list[bytes] = []
        self.takes = 0

    async def send_bytes(self, body: bytes) -> None:
        if self.takes == 0:
            await asyncio.Event().wait()
        self.takes -= 1
        self.sent.append(body)

    async def receive(self) -> aiohttp.WSMessage:
        await asyncio.Event().wait()
        raise AssertionError

    async def close(self, *, code: int, message: bytes) -> None:
        self.closed_with = (code, message)


class _Receiver:
    def __init__(self) -> None:
        self.lost = False

    def data_received(self, _data: bytes, /) -> None: ...

    def connection_lost(self, _exc: Exception | None, /) -> None:
        self.lost = True


async def test_access_ends_at_once_also_for_a_client_that_does_not_read() -> None:
    socket, receiver = _StuckSocket(), _Receiver()
    stream = AgentStream(socket)  # pyright: ignore[reportArgumentType]
    running = asyncio.create_task(stream.run(receiver))
    stream.write(b"x" * 100_000)
    await _settle()
    stream.end(4001, "the lease has ended")
    await asyncio.wait_for(running, 1)
    assert socket.closed_with == (4001, b"the lease has ended")
    assert receiver.lost


async def test_the_last_bytes_leave_before_an_orderly_end() -> None:
    socket = _StuckSocket()
    socket.takes = 100
    stream = AgentStream(socket)  # pyright: ignore[reportArgumentType]
    running = asyncio.create_task(stream.run(_Receiver()))
    await _settle()
    stream.write(b"a" * 150_000)
    stream.write(b"exit status")
    stream.abort()
    await asyncio.wait_for(running, 1)
    assert b"".join(socket.sent) == b"a" * 150_000 + b"exit status"
    assert max(map(len, socket.sent)) <= 64 * 1024
    assert socket.closed_with == (1000, b"")


async def test_a_long_reason_is_cut_to_what_a_close_frame_holds() -> None:
    socket = _StuckSocket()
    stream = AgentStream(socket)  # pyright: ignore[reportArgumentType]
    stream.end(4001, "r" * 500)
    await asyncio.wait_for(stream.run(_Receiver()), 1)
    assert socket.closed_with == (4001, b"r" * 123)
