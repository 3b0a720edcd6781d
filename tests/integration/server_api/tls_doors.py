"""TLS in front of services that speak plain TCP here, as PostgreSQL and Redis speak it in a deployment."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from remotegpu.kit.certificates import issue, new_authority

ADDRESS = "127.0.0.1"
_POSTGRES_WANTS_TLS = (8).to_bytes(4) + (80877103).to_bytes(4)
"""PostgreSQL's SSLRequest; it is answered with one letter before the handshake."""


@dataclass(frozen=True)
class Door:
    port: int
    target_port: int
    is_postgres: bool

    async def serve(self, context: ssl.SSLContext) -> asyncio.Server:
        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError):
                if self.is_postgres:
                    assert await reader.readexactly(8) == _POSTGRES_WANTS_TLS, "somebody came without TLS"
                    writer.write(b"S")
                await writer.start_tls(context)
                there, back = await asyncio.open_connection(ADDRESS, self.target_port)
                await asyncio.gather(_copy(reader, back), _copy(there, writer))
            writer.close()

        return await asyncio.start_server(accepted, ADDRESS, self.port)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@contextlib.contextmanager
def tls_doors(directory: Path, *doors: Door) -> Iterator[Path]:
    """Opens ``doors`` with a certificate for 127.0.0.1; yields the file of the authority that signed it."""
    authority = new_authority("test authority", datetime.now(UTC), timedelta(days=1))
    pair = issue(authority, [ADDRESS], datetime.now(UTC), timedelta(days=1))
    (directory / "ca.pem").write_text(authority.certificate)
    (directory / "pair.pem").write_text(pair.certificate + pair.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "pair.pem")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    servers = [
        asyncio.run_coroutine_threadsafe(door.serve(context), loop).result(timeout=10) for door in doors
    ]
    try:
        yield directory / "ca.pem"
    finally:
        for server in servers:
            loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
