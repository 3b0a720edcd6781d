"""One file with all images of a site, for a node without a registry: what ``docker save`` wrote, and what it must be.

The tar ends with ``remotegpu-images.json``: which images these are, and the SHA-256 of every other member. ``docker
load`` by itself takes the file too; it only checks less.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec

INDEX = "remotegpu-images.json"
MOST_INDEX_BYTES = 16 * 1024**2
ENGINE_INDEX = "manifest.json"
"""Docker's own list of what is in the tar."""
CHUNK = 1 << 20


class ArchiveError(Exception):
    """The file is not what it says it is. The message says what was found, and that nothing was loaded."""


class Carried(msgspec.Struct, kw_only=True, frozen=True):
    """``id``: a hash of all of the image. ``reference``: the name it gets where it arrives."""

    name: str
    reference: str
    id: str
    size: int
    stand_in: str = ""


class Member(msgspec.Struct, kw_only=True, frozen=True):
    """``sha256``: of the content; empty for what has none. ``link``: where a link leads."""

    path: str
    size: int
    sha256: str = ""
    link: str = ""


class Index(msgspec.Struct, kw_only=True, frozen=True):
    format: int
    site: str
    made_at: datetime
    tool: str
    images: tuple[Carried, ...]
    members: tuple[Member, ...]


def seal(path: Path, images: Sequence[Carried], site: str, made_at: datetime, tool: str) -> Index:
    """Append the index to what ``docker save`` wrote to ``path``."""
    with tarfile.open(path, "r:") as archive:
        members = tuple(_member(archive, info) for info in archive)
    index = Index(format=1, site=site, made_at=made_at, tool=tool, images=tuple(images), members=members)
    content = msgspec.json.format(msgspec.json.encode(index), indent=1) + b"\n"
    with tarfile.open(path, "a:") as archive:
        info = tarfile.TarInfo(INDEX)
        info.size, info.mtime = len(content), int(made_at.timestamp())
        archive.addfile(info, io.BytesIO(content))
    return index


def verify(path: Path) -> Index:
    """Read all of it and compare. Raises :class:`ArchiveError`; nothing is believed before the end."""
    try:
        with tarfile.open(path, "r:") as archive:
            found, index, names = _read(archive)
    except (tarfile.TarError, OSError) as error:
        raise ArchiveError(f"{path} cannot be read as a tar: {error}; nothing was loaded") from error
    if index is None:
        raise ArchiveError(
            f"found no {INDEX} at the end of {path}, expected a file of `remotegpu site images save`, whole"
        )
    problems = [*_differences(found, index.members), *_names_of_its_own(names)]
    if problems:
        said = "\n".join(f"  {problem}" for problem in problems[:10])
        raise ArchiveError(f"{path} is not what was saved; nothing was loaded:\n{said}")
    return index


def _read(archive: tarfile.TarFile) -> tuple[list[Member], Index | None, bytes]:
    """Every member but the index, the index when it is the last, and Docker's own list."""
    found: list[Member] = []
    index: Index | None = None
    names = b""
    for info in archive:
        if index is not None:
            raise ArchiveError(f"found {info.name} after {INDEX}, expected nothing; nothing was loaded")
        if info.name == INDEX:
            index = _index(archive, info)
            continue
        found.append(_member(archive, info))
        if info.name == ENGINE_INDEX and info.size <= MOST_INDEX_BYTES:
            names = b"".join(_content(archive, info))
    return found, index, names


def _index(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Index:
    if info.size > MOST_INDEX_BYTES:
        raise ArchiveError(f"found {info.size} bytes of {INDEX}, expected at most {MOST_INDEX_BYTES}")
    try:
        return msgspec.json.decode(b"".join(_content(archive, info)), type=Index)
    except msgspec.MsgspecError as error:
        raise ArchiveError(f"{INDEX} cannot be read: {error}; nothing was loaded") from error


def _member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    if not info.isreg():
        return Member(path=info.name, size=0, link=info.linkname)
    digest = hashlib.sha256()
    for chunk in _content(archive, info):
        digest.update(chunk)
    return Member(path=info.name, size=info.size, sha256=digest.hexdigest())


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[bytes]:
    stream: IO[bytes] | None = archive.extractfile(info)
    assert stream is not None  # only regular files get here
    while chunk := stream.read(CHUNK):
        yield chunk


def _differences(found: Sequence[Member], wanted: Sequence[Member]) -> Iterator[str]:
    """Pure. A name that comes twice is a difference too: the later one would win."""
    by_path = {member.path: member for member in wanted}
    seen: set[str] = set()
    for member in found:
        if member.path in seen:
            yield f"{member.path} is there twice"
        elif member.path not in by_path:
            yield f"{member.path} was not saved"
        elif member != by_path[member.path]:
            yield f"{member.path} has another content than when it was saved"
        seen.add(member.path)
    for path in sorted(set(by_path) - seen):
        yield f"{path} is missing"


def _names_of_its_own(engine_index: bytes) -> Iterator[str]:
    """Images are saved by id; a tar that names tags itself would replace images behind our back."""
    try:
        listed = json.loads(engine_index)
        tags = [tag for image in listed for tag in image.get("RepoTags") or []]
    except (ValueError, AttributeError, TypeError):
        yield f"{ENGINE_INDEX} cannot be read"
        return
    for tag in tags:
        yield f"{ENGINE_INDEX} names {tag} by itself"
