"""What an attempt needs from the server, and how that can fail."""

from typing import BinaryIO, Protocol

from remotegpu.protocol.attempts import ArtifactFile, ArtifactUrl, LogAck


class UplinkError(Exception):
    """The server, or the object store, did not do what was asked."""


class UnreachableError(UplinkError):
    """It is away or out of order: the same call may work later."""


class AttemptGoneError(UplinkError):
    """The server does not know the attempt, or gave it to somebody else: nothing more is wanted of it."""


class RejectedError(UplinkError):
    """The call itself is refused and would be refused again; the message says why."""


class ContentChangedError(UplinkError):
    """A file is not what was announced: it changed between being described and being sent."""


class Uplink(Protocol):
    """Calls about one attempt. Each is tried once and raises a subclass of :class:`UplinkError`."""

    async def push_log(self, attempt_id: str, offset: int, content: bytes, *, final: bool) -> LogAck:
        """Send a piece of the log, at most ``LOG_CHUNK_BYTES``."""
        ...

    async def offer_artifacts(self, attempt_id: str, files: list[ArtifactFile]) -> list[ArtifactUrl]:
        """Ask where to put ``files``."""
        ...

    async def put_artifact(self, url: str, file: ArtifactFile, source: BinaryIO) -> None:
        """Send exactly what ``file`` describes."""
        ...
