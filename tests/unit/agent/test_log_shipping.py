"""The log follower against a server that has its own idea of the offset."""

import asyncio
from pathlib import Path
from typing import BinaryIO

import pytest

from remotegpu.agent.tasks import log_shipping
from remotegpu.agent.tasks.log_shipping import LogFollower
from remotegpu.agent.tasks.uplink import AttemptGoneError, UnreachableError
from remotegpu.protocol.attempts import LOG_CHUNK_BYTES, ArtifactFile, ArtifactUrl, LogAck


class LogServer:
    def __init__(self, have: bytes = b"") -> None:
        self.stored = bytearray(have)
        self.finals = 0
        self.sizes: list[int] = []
        self.fail: list[Exception] = []
        self.lost_answers = 0

    async def push_log(self, attempt_id: str, offset: int, content: bytes, *, final: bool) -> LogAck:
        del attempt_id
        if self.fail:
            raise self.fail.pop(0)
        if offset != len(self.stored):
            return LogAck(next_offset=len(self.stored), accepted=False)
        self.sizes.append(len(content))
        self.stored += content
        self.finals += final
        if self.lost_answers:
            self.lost_answers -= 1
            raise UnreachableError("the answer got lost")
        return LogAck(next_offset=len(self.stored), accepted=True)

    async def offer_artifacts(self, attempt_id: str, files: list[ArtifactFile]) -> list[ArtifactUrl]:
        raise NotImplementedError

    async def put_artifact(self, url: str, file: ArtifactFile, source: BinaryIO) -> None:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_shipping.Backoff, "next", lambda _self: 0.0)


async def follow(path: Path, server: LogServer, *, offset: int = 0) -> list[tuple[int, bool]]:
    """Follow an ended log; returns what was acknowledged."""
    seen: list[tuple[int, bool]] = []

    async def acknowledged(at: int, final: bool) -> None:
        seen.append((at, final))

    ended = asyncio.Event()
    ended.set()
    follower = LogFollower("a1", path, server, offset=offset, acknowledged=acknowledged)
    await asyncio.wait_for(follower.follow(ended), 10)
    return seen


async def test_empty_and_missing_logs_are_ended_too(tmp_path: Path) -> None:
    server = LogServer()
    assert await follow(tmp_path / "missing", server) == [(0, True)]
    (tmp_path / "log").touch()
    await follow(tmp_path / "log", server)
    assert (bytes(server.stored), server.finals) == (b"", 2)


async def test_large_log_goes_in_full_pieces_and_only_the_last_is_final(tmp_path: Path) -> None:
    content = bytes(range(256)) * (LOG_CHUNK_BYTES * 2 // 256) + b"rest"
    (tmp_path / "log").write_bytes(content)
    server = LogServer()
    await follow(tmp_path / "log", server)
    assert bytes(server.stored) == content
    assert (server.sizes, server.finals) == ([LOG_CHUNK_BYTES, LOG_CHUNK_BYTES, 4], 1)


@pytest.mark.parametrize("have", [b"", b"01234", b"0123456789"])
async def test_server_decides_where_to_go_on(tmp_path: Path, have: bytes) -> None:
    (tmp_path / "log").write_bytes(b"0123456789")
    server = LogServer(have)
    await follow(tmp_path / "log", server, offset=7)
    assert bytes(server.stored) == b"0123456789"
    assert server.finals == 1


async def test_piece_whose_answer_got_lost_is_not_stored_twice(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"0123456789")
    server = LogServer()
    server.lost_answers = 1
    server.fail = [UnreachableError("away")] * 3
    await follow(tmp_path / "log", server)
    assert bytes(server.stored) == b"0123456789"


async def test_server_that_has_more_than_there_is_does_not_hold_up_the_attempt(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"0123")
    assert (await follow(tmp_path / "log", LogServer(b"0123456789")))[-1] == (10, True)


async def test_attempt_that_is_gone_ends_the_following(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x")
    server = LogServer()
    server.fail = [AttemptGoneError("404")]
    with pytest.raises(AttemptGoneError):
        await follow(tmp_path / "log", server)


async def test_new_bytes_are_sent_within_a_tenth_of_a_second(tmp_path: Path) -> None:
    path, server, ended = tmp_path / "log", LogServer(), asyncio.Event()

    async def acknowledged(at: int, final: bool) -> None:
        del at, final

    follower = LogFollower("a1", path, server, offset=0, acknowledged=acknowledged)
    following = asyncio.create_task(follower.follow(ended))
    for number in range(3):
        await asyncio.sleep(0.1)
        with path.open("ab") as log:
            log.write(b"line\n")
        await asyncio.sleep(0.15)
        assert bytes(server.stored) == b"line\n" * (number + 1)
    ended.set()
    await asyncio.wait_for(following, 5)
    assert server.finals == 1
