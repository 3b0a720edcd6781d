"""nginx' certificate: the operator's own files, one of the site's authority, or one that ACME brings."""

from datetime import datetime
from pathlib import Path

from remotegpu.kit.certificates import Pair
from remotegpu.site import authority, public_certificate, secret_copies
from remotegpu.site.bundle.topology import UIDS
from remotegpu.site.place import Place

DIRECTORY = "nginx/ssl"
WEBROOT = "nginx/acme"


def write(place: Place, now: datetime) -> bool:
    """Put the certificate where nginx reads it. Whether it changed."""
    pair = _wanted(place, now)
    folder = place.directory / DIRECTORY
    secret_copies.make_owned_directory(folder, UIDS["nginx"])
    written = [
        secret_copies.put(folder / name, content, UIDS["nginx"])
        for name, content in (("key.pem", pair.key), ("cert.pem", pair.certificate))
    ]
    return any(written)


def renew(place: Place, now: datetime) -> bool:
    """Bring a new public certificate when it is time. Whether one came.

    Raises :class:`~remotegpu.site.public_certificate.PublicCertificateError`; the old one goes on serving then.
    """
    tls = place.config.tls
    if tls.mode != "acme" or not public_certificate.is_due(public_certificate.present(place.originals), now):
        return False
    public_certificate.bring(
        place.originals,
        directory=tls.acme_directory,
        email=tls.acme_email,
        domain=place.config.site.domain,
        webroot=place.directory / WEBROOT,
        now=now,
    )
    return True


def _wanted(place: Place, now: datetime) -> Pair:
    """With ACME, until the first one comes, one of the site's own authority: nginx must run to prove the name."""
    tls = place.config.tls
    public = public_certificate.present(place.originals) if tls.mode == "acme" else None
    if public:
        return public
    if tls.mode == "files":
        return Pair(
            Path(tls.certificate).read_text(encoding="utf-8"), Path(tls.key).read_text(encoding="utf-8")
        )
    signer = authority.ensure(place.originals, place.config.site.name, now)
    own = authority.server_pair(place.originals, signer, place.config.site.domain, now)
    return Pair(own.certificate + signer.certificate, own.key)
