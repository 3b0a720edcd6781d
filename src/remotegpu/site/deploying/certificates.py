"""nginx' certificate: the operator's own files, one of the site's authority, or one that ACME brings."""

from datetime import datetime
from pathlib import Path

from remotegpu.kit.certificates import Pair
from remotegpu.site import authority, secret_copies
from remotegpu.site.bundle.topology import UIDS
from remotegpu.site.place import Place

DIRECTORY = "nginx/ssl"


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


def _wanted(place: Place, now: datetime) -> Pair:
    tls = place.config.tls
    if tls.mode == "files":
        return Pair(
            Path(tls.certificate).read_text(encoding="utf-8"), Path(tls.key).read_text(encoding="utf-8")
        )
    signer = authority.ensure(place.originals, place.config.site.name, now)
    own = authority.server_pair(place.originals, signer, place.config.site.domain, now)
    return Pair(own.certificate + signer.certificate, own.key)
