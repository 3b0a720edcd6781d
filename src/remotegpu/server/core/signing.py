"""AWS Signature Version 4 of a download with a name, which obstore cannot sign.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

import hashlib
import hmac
import urllib.parse
from dataclasses import dataclass
from datetime import datetime, timedelta

ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True)
class Signer:
    """Whose key signs, for which region."""

    access_key: str
    secret_key: str
    region: str

    def presigned_get(
        self, url: str, now: datetime, lifetime: timedelta, more: dict[str, str] | None = None
    ) -> str:
        """``url`` with a signature that lets anybody GET it for ``lifetime``. ``more``: parameters to sign with it."""
        return self.presigned("GET", url, now, lifetime, more)

    def presigned(
        self, method: str, url: str, now: datetime, lifetime: timedelta, more: dict[str, str] | None = None
    ) -> str:
        """The same for any method."""
        parts = urllib.parse.urlsplit(url)
        parameters = {
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": f"{self.access_key}/{self._scope(now)}",
            "X-Amz-Date": _stamp(now),
            "X-Amz-Expires": str(int(lifetime.total_seconds())),
            "X-Amz-SignedHeaders": "host",
            **(more or {}),
        }
        query = "&".join(f"{_quoted(name)}={_quoted(parameters[name])}" for name in sorted(parameters))
        lines = [method, parts.path, query, f"host:{parts.netloc}", "", "host", "UNSIGNED-PAYLOAD"]
        return f"{url}?{query}&X-Amz-Signature={self._signature(lines, now)}"

    def _scope(self, now: datetime) -> str:
        return f"{_stamp(now)[:8]}/{self.region}/s3/aws4_request"

    def _signature(self, canonical: list[str], now: datetime) -> str:
        digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
        to_sign = "\n".join([ALGORITHM, _stamp(now), self._scope(now), digest])
        key = f"AWS4{self.secret_key}".encode()
        for part in self._scope(now).split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.new(key, to_sign.encode(), "sha256").hexdigest()


def attachment(name: str) -> str:
    """A ``Content-Disposition`` (RFC 6266) that saves under ``name``, for old browsers in its ASCII letters."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{_quoted(name)}"


def _stamp(now: datetime) -> str:
    return now.strftime("%Y%m%dT%H%M%SZ")


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")
