"""The bucket of logs and artifacts: made when it is missing. obstore works in buckets, and makes none."""

from datetime import timedelta
from http import HTTPStatus

import aiohttp

from remotegpu.kit.clock import utc_now
from remotegpu.server.core.errors import UnavailableError
from remotegpu.server.core.signing import Signer
from remotegpu.server.settings import ObjectSettings

LIFETIME = timedelta(minutes=5)
TIMEOUT = aiohttp.ClientTimeout(total=30)


async def ensure(settings: ObjectSettings) -> bool:
    """Whether it had to be made. Raises :class:`UnavailableError` with what the object store said."""
    signer = Signer(settings.access_key, settings.secret_key, settings.region)
    url = f"{settings.endpoint}/{settings.bucket}"
    try:
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            async with session.head(signer.presigned("HEAD", url, utc_now(), LIFETIME)) as found:
                if found.status == HTTPStatus.OK:
                    return False
            async with session.put(signer.presigned("PUT", url, utc_now(), LIFETIME)) as made:
                if made.status in {HTTPStatus.OK, HTTPStatus.CONFLICT}:
                    return made.status == HTTPStatus.OK
                said = (await made.text())[:300]
    except (aiohttp.ClientError, TimeoutError) as error:
        raise UnavailableError(f"the object store at {settings.endpoint} does not answer: {error}") from error
    raise UnavailableError(f"the object store refused the bucket {settings.bucket}: {made.status} {said}")
