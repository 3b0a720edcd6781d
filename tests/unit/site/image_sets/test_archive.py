"""What was carried is loaded only when every byte of it is what was saved."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from remotegpu.site.image_sets import archive
from remotegpu.site.image_sets.archive import ArchiveError, Carried

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CONFIG = b'{"architecture":"amd64"}'
ID = hashlib.sha256(CONFIG).hexdigest()
IMAGE = Carried(name="nginx", reference="nginx:1.30.4", id=f"sha256:{ID}", size=10)
Contents = list[tuple[str, bytes | str]]
"""Path and content; a text is where a link leads."""


def saved(tags: list[str] | None = None) -> Contents:
    """As ``docker save`` writes it, shortened."""
    return [
        ("aa/layer.tar", b"layer one"),
        ("bb/layer.tar", "../aa/layer.tar"),
        (f"{ID}.json", CONFIG),
        ("manifest.json", json.dumps([{"Config": f"{ID}.json", "RepoTags": tags}]).encode()),
    ]


def pack(path: Path, contents: Contents) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in contents:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def unpack(path: Path) -> Contents:
    with tarfile.open(path) as tar:
        return [
            (info.name, info.linkname if info.issym() else tar.extractfile(info).read())  # type: ignore[union-attr]
            for info in tar
        ]


@pytest.fixture
def carried(tmp_path: Path) -> Path:
    path = tmp_path / "images.tar"
    pack(path, saved())
    archive.seal(path, [IMAGE], "acme", NOON, "0.1.0")
    return path


def test_what_was_saved_is_believed(carried: Path) -> None:
    index = archive.verify(carried)
    assert (index.site, index.images) == ("acme", (IMAGE,))
    assert unpack(carried)[:-1] == saved()


def changed(name: str, content: bytes | str) -> Callable[[Contents], Contents]:
    return lambda found: [(path, content if path == name else old) for path, old in found]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed("aa/layer.tar", b"layer 0ne"), "aa/layer.tar has another content"),
        (changed("aa/layer.tar", b"layer one, and more"), "aa/layer.tar has another content"),
        (changed("bb/layer.tar", "/etc/passwd"), "bb/layer.tar has another content"),
        (changed("aa/layer.tar", "../bb/layer.tar"), "aa/layer.tar has another content"),
        (lambda found: found[1:], "aa/layer.tar is missing"),
        (lambda found: [("evil.json", b"{}"), *found], "evil.json was not saved"),
        (lambda found: [found[0], *found], "aa/layer.tar is there twice"),
        (lambda found: [*found, ("late", b"x")], "found late after remotegpu-images.json"),
        (lambda found: found[:-1], "found no remotegpu-images.json"),
        (changed(archive.INDEX, b"{}"), "remotegpu-images.json cannot be read"),
    ],
)
def test_any_change_is_refused(carried: Path, change: Callable[[Contents], Contents], said: str) -> None:
    pack(carried, change(unpack(carried)))
    with pytest.raises(ArchiveError, match=said):
        archive.verify(carried)


def test_a_file_that_names_images_by_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images.tar"
    pack(path, saved(tags=["remotegpu-backend:v1.0.0"]))
    archive.seal(path, [IMAGE], "acme", NOON, "0.1.0")
    with pytest.raises(ArchiveError, match=r"names remotegpu-backend:v1\.0\.0 by itself"):
        archive.verify(path)


@pytest.mark.parametrize("content", [b"", b"no tar at all", b"\0" * 4096])
def test_what_is_no_such_file_is_told_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "images.tar"
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"images\.tar"):
        archive.verify(path)


def test_every_cut_is_noticed(carried: Path) -> None:
    whole = carried.read_bytes()
    end = whole.rindex(b"}") + 1
    for size in range(0, end, 257):
        carried.write_bytes(whole[:size])
        with pytest.raises(ArchiveError):
            archive.verify(carried)
