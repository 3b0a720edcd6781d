"""Goes through the front door: TLS for the site's domain, on this node's own port."""

import http.client
import socket
import ssl
from datetime import datetime
from pathlib import Path

from cryptography import x509

from remotegpu.site import authority, secrets
from remotegpu.site.place import Place
from remotegpu.site.status.facts import Door

HERE = "127.0.0.1"
PATIENCE_S = 5.0
SHOWN_CHARACTERS = 300


def look(place: Place) -> Door:
    """Believes what the node believes, and the site's own authority where there is one."""
    own = place.originals / secrets.DIRECTORY / authority.CERTIFICATE
    return through(place.config.network.https_port, place.config.site.domain, own if own.exists() else None)


def through(port: int, domain: str, own_authority: Path | None) -> Door:
    address = f"https://{domain}:{port} on this node"
    context = ssl.create_default_context()
    if own_authority is not None:
        context.load_verify_locations(own_authority)
    try:
        return _ask(address, port, domain, context)
    except ssl.SSLCertVerificationError as error:
        return _distrusted(address, port, domain, error.verify_message)
    except OSError as error:
        return Door(address=address, error=str(error))


def _distrusted(address: str, port: int, domain: str, why: str) -> Door:
    """A certificate that nobody believes is still looked at, and what is behind it too."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        return _ask(address, port, domain, context, distrust=why)
    except OSError as error:
        return Door(address=address, error=str(error))


def _ask(address: str, port: int, domain: str, context: ssl.SSLContext, *, distrust: str = "") -> Door:
    with (
        socket.create_connection((HERE, port), timeout=PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname=domain) as secured,
    ):
        begins_at, ends_at = _validity(secured)
        status, said = _ready(secured, domain)
    return Door(
        address=address, distrust=distrust, begins_at=begins_at, ends_at=ends_at, status=status, said=said
    )


def _validity(secured: ssl.SSLSocket) -> tuple[datetime, datetime]:
    served = secured.getpeercert(binary_form=True)
    assert served is not None  # a server always shows one
    certificate = x509.load_der_x509_certificate(served)
    return certificate.not_valid_before_utc, certificate.not_valid_after_utc


def _ready(secured: ssl.SSLSocket, domain: str) -> tuple[int, str]:
    """Status and body of ``/health/ready``; status 0 with the reason when there was no answer."""
    connection = http.client.HTTPConnection(domain)
    connection.sock = secured
    try:
        connection.request("GET", "/health/ready", headers={"Connection": "close"})
        answer = connection.getresponse()
        said = answer.read(4 * SHOWN_CHARACTERS).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, f"{type(error).__name__}: {error}"
    return answer.status, " ".join(said.split())[:SHOWN_CHARACTERS]
