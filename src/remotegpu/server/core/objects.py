"""The object store (S3): logs and artifacts. Bytes of artifacts never pass through the server: URLs are presigned."""

from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import S3Store

from remotegpu.kit.clock import utc_now
from remotegpu.server.core.errors import UnavailableError
from remotegpu.server.core.signing import Signer, attachment
from remotegpu.server.settings import ObjectSettings

T = TypeVar("T")
URL_LIFETIME = timedelta(minutes=10)

log = structlog.get_logger()


class ObjectStore:
    """A thin, typed front of obstore; its errors become :class:`UnavailableError`."""

    def __init__(self, settings: ObjectSettings) -> None:
        self._settings = settings
        self._store = _store(settings, settings.endpoint)
        self._public = _store(settings, settings.public_endpoint)

    async def put(self, key: str, body: bytes) -> None:
        await _guarded(obstore.put_async(self._store, key, body))

    async def get(self, key: str) -> bytes:
        result = await _guarded(obstore.get_async(self._store, key))
        return bytes(await result.bytes_async())

    async def size(self, key: str) -> int | None:
        """Bytes of the object, or None when there is none."""
        try:
            meta = await obstore.head_async(self._store, key)
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error
        return int(meta["size"])

    async def upload_url(self, key: str) -> str:
        return await _guarded(obstore.sign_async(self._public, "PUT", key, URL_LIFETIME))

    def download_url(self, key: str, name: str) -> str:
        """Saves under ``name`` in a browser, which would else show what it can. ``key`` needs no quoting in a URL."""
        url = f"{self._settings.public_endpoint}/{self._settings.bucket}/{key}"
        asked = {"response-content-disposition": attachment(name)}
        return _signer(self._settings).presigned_get(url, utc_now(), URL_LIFETIME, asked)


def _store(settings: ObjectSettings, endpoint: str) -> S3Store:
    return S3Store(
        settings.bucket,
        endpoint=endpoint,
        region=settings.region,
        access_key_id=settings.access_key,
        secret_access_key=settings.secret_key,
        virtual_hosted_style_request=False,
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "timeout": "30s",
            "connect_timeout": "5s",
        },
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=10)},
    )


async def _guarded(operation: Awaitable[T]) -> T:
    try:
        return await operation
    except (BaseError, OSError) as error:
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> UnavailableError:
    log.error("object store failed", error=str(error)[:500])
    return UnavailableError(
        "the object store does not answer; nothing was changed, try again in a moment",
        code="object_store_unavailable",
    )


def _signer(settings: ObjectSettings) -> Signer:
    return Signer(settings.access_key, settings.secret_key, settings.region)
