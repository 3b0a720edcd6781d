"""The object store: listing, fetching and putting, by S3."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import msgspec
import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.settings import BucketSettings


class Listed(msgspec.Struct, kw_only=True, frozen=True):
    """One object as the bucket lists it. ``tag`` and ``modified`` tell a changed one."""

    key: str
    size: int
    tag: str
    modified: datetime


class Bucket(Protocol):
    """What a copy needs of an object store."""

    def listed(self) -> Iterator[Listed]: ...
    def fetch(self, key: str, target: Path) -> str:
        """Write the object to ``target``; returns its SHA-256. Raises ``FileNotFoundError`` when it has gone."""
        ...

    def put(self, key: str, source: Path) -> None: ...


class S3Bucket:
    """A bucket. What fails becomes :class:`BackupError`."""

    def __init__(self, settings: BucketSettings) -> None:
        self._at = f"{settings.endpoint}/{settings.bucket}"
        self._store = S3Store(
            settings.bucket,
            endpoint=settings.endpoint,
            region=settings.region,
            access_key_id=settings.access_key,
            secret_access_key=settings.secret_key,
            virtual_hosted_style_request=False,
            client_options={
                "allow_http": settings.endpoint.startswith("http://"),
                "timeout": "10m",
                "connect_timeout": "5s",
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=30)},
        )

    def listed(self) -> Iterator[Listed]:
        try:
            for batch in obstore.list(self._store):
                for meta in batch:
                    yield Listed(
                        key=meta["path"],
                        size=meta["size"],
                        tag=meta["e_tag"] or "",
                        modified=meta["last_modified"].astimezone(UTC),
                    )
        except (BaseError, OSError) as error:
            raise self._failed("listed", error) from error

    def fetch(self, key: str, target: Path) -> str:
        digest = hashlib.sha256()
        try:
            with target.open("wb") as stream:
                for chunk in obstore.get(self._store, key).stream():
                    data = bytes(chunk)
                    digest.update(data)
                    stream.write(data)
        except FileNotFoundError:
            raise
        except BaseError as error:
            raise self._failed(f"read ({key})", error) from error
        return digest.hexdigest()

    def put(self, key: str, source: Path) -> None:
        try:
            obstore.put(self._store, key, source)
        except (BaseError, OSError) as error:
            raise self._failed(f"written to ({key})", error) from error

    def remove(self, keys: Sequence[str]) -> None:
        try:
            obstore.delete(self._store, list(keys))
        except (BaseError, OSError) as error:
            raise self._failed("deleted from", error) from error

    def _failed(self, what: str, error: Exception) -> BackupError:
        return BackupError(f"the bucket at {self._at} cannot be {what}: {_short(error)}")


def _short(error: Exception) -> str:
    """Without the library's view of its own insides."""
    return str(error).split("\n\nDebug source", maxsplit=1)[0][:500]
