"""The site's own certificate authority: it signs the database's certificate, and nginx's with ``local-ca``."""

from datetime import datetime, timedelta
from pathlib import Path

from remotegpu.kit import certificates, files
from remotegpu.kit.certificates import Pair
from remotegpu.site import secrets

CERTIFICATE = "ca.pem"
KEY = "ca.key"
AUTHORITY_LIFETIME = timedelta(days=3650)
SERVER_LIFETIME = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)


def ensure(site: Path, name: str, now: datetime) -> Pair:
    """The authority in ``site/secrets``, made at the first call."""
    directory = site / secrets.DIRECTORY
    certificate, key = directory / CERTIFICATE, directory / KEY
    if not key.exists() or not certificate.exists():
        made = certificates.new_authority(f"RemoteGPU {name}", now, AUTHORITY_LIFETIME)
        files.write_private(certificate, made.certificate, mode=0o444)
        files.write_private(key, made.key, mode=secrets.ONLY_READ_BY_OWNER)
    return Pair(certificate.read_text(encoding="utf-8"), key.read_text(encoding="utf-8"))


def server_pair(site: Path, authority: Pair, name: str, now: datetime) -> Pair:
    """The certificate of the server ``name``, kept in ``site/secrets``; a new one when it is about to end."""
    directory = site / secrets.DIRECTORY
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    if not (certificate.exists() and key.exists()) or _ends_soon(certificate, now):
        made = certificates.issue(authority, [name], now, SERVER_LIFETIME)
        files.write_private(key, made.key, mode=secrets.ONLY_READ_BY_OWNER)
        files.write_private(certificate, made.certificate, mode=0o444)
    return Pair(certificate.read_text(encoding="utf-8"), key.read_text(encoding="utf-8"))


def _ends_soon(certificate: Path, now: datetime) -> bool:
    return certificates.ends_at(certificate.read_text(encoding="utf-8")) - now < RENEW_BEFORE
