"""From an output directory to artifacts in the object store.

The directory belonged to a customer until a moment ago: nothing in it is followed out of it, and a file is opened
component by component without following links, because names may still change while it is read.
"""

import asyncio
import hashlib
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import structlog

from remotegpu.agent.backoff import Backoff
from remotegpu.agent.tasks.uplink import ContentChangedError, UnreachableError, Uplink
from remotegpu.protocol.attempts import ArtifactFile

BATCH = 200
"""Files per offer: keeps the list of presigned URLs well under a megabyte."""
PARALLEL_PUTS = 4
MAX_PATH_BYTES = 1024
"""Longest path the server takes; one longer would have the whole offer refused."""
READ_BYTES = 1024 * 1024

log = structlog.get_logger()


@dataclass(slots=True)
class Collection:
    """Files found, and those left out with the reason."""

    files: list[ArtifactFile] = field(default_factory=list[ArtifactFile])
    left_out: list[str] = field(default_factory=list[str])

    def note(self) -> str:
        """One sentence about what was left out, empty when nothing was."""
        if not self.left_out:
            return ""
        shown = "; ".join(self.left_out[:3]) + ("; …" if len(self.left_out) > 3 else "")
        return f"{len(self.left_out)} output file(s) left out: {shown}"


def collect(root: Path) -> Collection:
    """Describe every regular file below ``root``, sorted by path. Blocks while it hashes.

    A file must belong to the owner of ``root``: a hard link to somebody else's file is not an artifact.
    """
    found = Collection()
    if not root.is_dir() or root.is_symlink():
        return found
    owner = root.stat().st_uid
    for folder, directories, names, descriptor in os.fwalk(root, follow_symlinks=False):
        directories.sort()
        relative = os.path.relpath(folder, root)
        for name in sorted(names):
            path = name if relative == "." else f"{relative}/{name}"
            _describe(found, path, name, descriptor, owner)
    found.files.sort(key=lambda file: file.path)
    return found


async def upload(attempt_id: str, root: Path, uplink: Uplink, collection: Collection) -> list[ArtifactFile]:
    """Put every file into the object store, however long it is away. Returns what is there in the end.

    Raises :class:`~remotegpu.agent.tasks.uplink.AttemptGoneError` or ``RejectedError``.
    """
    stored: dict[str, ArtifactFile] = {}
    pending = {file.path: file for file in collection.files}
    backoff = Backoff(0.5, 30.0)
    while pending:
        batch = list(pending.values())[:BATCH]
        before = len(stored)
        try:
            await _upload_batch(attempt_id, root, uplink, batch, stored)
        except UnreachableError as error:
            log.warning("artifact upload failed", attempt_id=attempt_id, error=str(error))
        except ContentChangedError as error:
            log.warning("artifact changed while it was read", attempt_id=attempt_id, error=str(error))
            await asyncio.to_thread(_describe_again, root, pending, collection)
        pending = {path: file for path, file in pending.items() if path not in stored}
        if len(stored) > before:
            backoff.reset()
        elif pending:
            await asyncio.sleep(backoff.next())
    return sorted(stored.values(), key=lambda file: file.path)


async def _upload_batch(
    attempt_id: str, root: Path, uplink: Uplink, batch: list[ArtifactFile], stored: dict[str, ArtifactFile]
) -> None:
    """Offer, then put in parallel; the first failure is raised after the others have ended."""
    by_path = {file.path: file for file in batch}
    slots = asyncio.Semaphore(PARALLEL_PUTS)

    async def put(path: str, url: str) -> None:
        async with slots:
            file = by_path[path]
            with open_beneath(root, path) as source:
                await uplink.put_artifact(url, file, source)
            stored[path] = file

    urls = await uplink.offer_artifacts(attempt_id, batch)
    known = [(each.path, each.url) for each in urls if each.path in by_path]
    results = await asyncio.gather(*(put(path, url) for path, url in known), return_exceptions=True)
    for result in results:
        if isinstance(result, OSError):
            raise ContentChangedError(f"{result.filename}: {result.strerror}")
        if isinstance(result, BaseException):
            raise result


def _describe_again(root: Path, pending: dict[str, ArtifactFile], collection: Collection) -> None:
    """A file changed under our hands: describe what is still to send anew, and drop what can no longer be read."""
    for path in list(pending):
        try:
            with open_beneath(root, path) as source:
                pending[path] = _description(path, source)
        except OSError as error:
            del pending[path]
            collection.left_out.append(f"{path}: {error.strerror}")


def _describe(found: Collection, path: str, name: str, folder: int, owner: int) -> None:
    shown = path.encode("utf-8", "backslashreplace").decode()[-100:]
    try:
        if len(path.encode("utf-8")) > MAX_PATH_BYTES:
            found.left_out.append(f"…{shown}: its path is longer than {MAX_PATH_BYTES} bytes")
            return
        source = _open_regular(name, folder)
    except UnicodeEncodeError:
        found.left_out.append(f"{shown}: its name is not UTF-8")
        return
    except OSError as error:
        found.left_out.append(f"{shown}: {error.strerror}")
        return
    with source:
        if os.fstat(source.fileno()).st_uid != owner:
            found.left_out.append(f"{shown}: it belongs to another account")
            return
        found.files.append(_description(path, source))


def _description(path: str, source: BinaryIO) -> ArtifactFile:
    digest, size = hashlib.sha256(), 0
    while piece := source.read(READ_BYTES):
        digest.update(piece)
        size += len(piece)
    return ArtifactFile(path=path, size_bytes=size, sha256=digest.hexdigest())


@contextmanager
def open_beneath(root: Path, path: str) -> Generator[BinaryIO]:
    """Open ``root/path`` without following a link in any component. Raises ``OSError``."""
    *folders, name = path.split("/")
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        for folder in folders:
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        source = _open_regular(name, descriptor)
    finally:
        os.close(descriptor)
    with source:
        yield source


def _open_regular(name: str, folder: int) -> BinaryIO:
    """Open a regular file; ``O_NONBLOCK`` so that a FIFO does not hold us. Raises ``OSError``."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "not a regular file", name)
    return os.fdopen(descriptor, "rb")
