"""Downloads an artifact and compares its checksum before it gets its name."""

import asyncio
import hashlib
import os
from pathlib import Path, PurePosixPath

import aiohttp

from remotegpu.client.api import CONNECT_TIMEOUT_S, STREAM_SILENCE_S, Api, is_loopback, unreachable
from remotegpu.client.errors import ClientError
from remotegpu.client.models import Artifact, Download

BLOCK_BYTES = 1024 * 1024


async def download(api: Api, artifact: Artifact, folder: Path) -> Path:
    """Writes ``folder / artifact.path``; it appears whole and verified, or not at all.

    Raises :class:`ClientError` for a checksum that differs, a path that leaves ``folder``, a full disk.
    """
    target = folder / safe_path(artifact.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    source = await api.get(f"/artifacts/{artifact.id}/download", Download)
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        found = await fetch(source.url, draft)
        if found != artifact.sha256:
            raise ClientError(
                f"{artifact.path} arrived with SHA-256 {found}",
                artifact.sha256,
                "download it again; if it differs again, tell the operator",
            )
        draft.replace(target)
    except OSError as error:
        raise ClientError(
            f"{target} cannot be written ({error})", "a writable folder", "choose another with -o"
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    return target


def safe_path(path: str) -> Path:
    """The relative path the server named. A task chose it, so one that would leave the folder is refused."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or any(part in {"..", "."} or "\0" in part for part in parts):
        raise ClientError(f"artifact path {path!r}", "a path inside the output folder", "tell the operator")
    return Path(*parts)


async def fetch(url: str, draft: Path) -> str:
    """Streams ``url`` into ``draft``; returns the SHA-256 of what arrived. The URL carries its own permission."""
    limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=STREAM_SILENCE_S)
    digest = hashlib.sha256()
    try:
        async with (
            aiohttp.ClientSession(timeout=limits, trust_env=not is_loopback(url)) as http,
            http.get(url) as answer,
        ):
            if answer.status != 200:
                raise ClientError(
                    f"the object store answered {answer.status}",
                    "200",
                    "try again: the link is good for ten minutes",
                )
            with draft.open("wb") as file:
                async for block in answer.content.iter_chunked(BLOCK_BYTES):
                    digest.update(block)
                    await asyncio.to_thread(file.write, block)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise unreachable(url.split("?", maxsplit=1)[0], error) from error
    return digest.hexdigest()
