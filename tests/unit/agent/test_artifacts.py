"""Artifacts: what is taken, what is left out, and files that change under our hands."""

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from remotegpu.agent.tasks import artifacts
from remotegpu.agent.tasks.uplink import (
    AttemptGoneError,
    ContentChangedError,
    RejectedError,
    UnreachableError,
)
from remotegpu.protocol.attempts import ArtifactFile, ArtifactUrl, LogAck


class Store:
    """An uplink that keeps what it is given. ``fail`` holds errors for the next calls, oldest first."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.fail: list[Exception] = []
        self.offers: list[list[str]] = []

    async def push_log(self, attempt_id: str, offset: int, content: bytes, *, final: bool) -> LogAck:
        raise NotImplementedError

    async def offer_artifacts(self, attempt_id: str, files: list[ArtifactFile]) -> list[ArtifactUrl]:
        del attempt_id
        self.offers.append([file.path for file in files])
        return [ArtifactUrl(path=file.path, url=f"store/{file.path}") for file in files]

    async def put_artifact(self, url: str, file: ArtifactFile, source: BinaryIO) -> None:
        if self.fail:
            raise self.fail.pop(0)
        content = source.read()
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise ContentChangedError(file.path)
        self.kept[url] = content


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "output"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts.Backoff, "next", lambda _self: 0.0)


def test_files_are_found_below_the_directory_with_their_sums(root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "x y.txt").write_bytes(b"content")
    (root / "ünï.bin").write_bytes(b"")
    found = artifacts.collect(root)
    assert [(file.path, file.size_bytes) for file in found.files] == [("a/b/x y.txt", 7), ("ünï.bin", 0)]
    assert found.files[0].sha256 == hashlib.sha256(b"content").hexdigest()
    assert found.note() == ""


def test_links_fifos_and_names_that_are_not_utf8_are_left_out_with_the_reason(
    root: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("x")
    (root / "link").symlink_to(tmp_path / "secret" / "key")
    (root / "folder").symlink_to(tmp_path / "secret")
    os.mkfifo(root / "fifo")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe")).touch()
    (root / "good").touch()
    deep = root.joinpath(*["d" * 200] * 6)
    deep.mkdir(parents=True)
    (deep / "too-deep").touch()
    found = artifacts.collect(root)
    assert [file.path for file in found.files] == ["good"]
    assert len(found.left_out) == 4
    assert "\\xff\\xfe" in found.note() or "\\udcff" in found.note()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs files of two owners")
def test_file_of_another_owner_is_left_out(root: Path) -> None:
    os.chown(root, 65534, 65534)
    (root / "hard-link-to-something-of-root").touch()
    assert artifacts.collect(root).files == []


def test_output_directory_that_is_missing_or_a_link_holds_nothing(root: Path, tmp_path: Path) -> None:
    assert artifacts.collect(tmp_path / "none").files == []
    (root / "x").touch()
    (tmp_path / "link").symlink_to(root)
    assert artifacts.collect(tmp_path / "link").files == []


def test_path_component_that_became_a_link_is_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x").write_text("secret")
    (root / "folder").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"directory|symbolic"), artifacts.open_beneath(root, "folder/x"):
        pass


async def test_upload_goes_on_through_failures_and_sends_each_file_once(root: Path) -> None:
    for number in range(5):
        (root / str(number)).write_text(str(number))
    store = Store()
    store.fail = [UnreachableError("away"), UnreachableError("away"), UnreachableError("away")]
    stored = await artifacts.upload("a1", root, store, artifacts.collect(root))
    assert [file.path for file in stored] == ["0", "1", "2", "3", "4"]
    assert sorted(store.kept.values()) == [b"0", b"1", b"2", b"3", b"4"]
    assert len(store.offers) == 2
    assert len(store.offers[1]) == 3


async def test_many_files_are_offered_in_batches(root: Path) -> None:
    for number in range(artifacts.BATCH + 1):
        (root / str(number)).touch()
    store = Store()
    assert len(await artifacts.upload("a1", root, store, artifacts.collect(root))) == artifacts.BATCH + 1
    assert [len(offer) for offer in store.offers] == [artifacts.BATCH, 1]


async def test_file_that_changed_or_went_after_it_was_described_is_described_again(root: Path) -> None:
    (root / "changed").write_text("old")
    (root / "gone").write_text("old")
    found = artifacts.collect(root)
    (root / "changed").write_text("new")
    (root / "gone").unlink()
    store = Store()
    stored = await artifacts.upload("a1", root, store, found)
    assert [(file.path, file.sha256) for file in stored] == [("changed", hashlib.sha256(b"new").hexdigest())]
    assert store.kept == {"store/changed": b"new"}
    assert "gone" in found.note()


@pytest.mark.parametrize("error", [AttemptGoneError("404"), RejectedError("413")])
async def test_final_refusals_are_not_repeated(root: Path, error: Exception) -> None:
    (root / "x").touch()
    store = Store()
    store.fail = [error]
    with pytest.raises(type(error)):
        await artifacts.upload("a1", root, store, artifacts.collect(root))
