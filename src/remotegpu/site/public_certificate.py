"""A certificate from a public authority by ACME (RFC 8555), proved by a file that nginx shows (http-01, §8.3)."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import requests
from acme import challenges, client, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from josepy.jwk import JWKRSA

from remotegpu.kit import certificates, files
from remotegpu.kit.certificates import Pair
from remotegpu.site import secrets

T = TypeVar("T")
CERTIFICATE, KEY, ACCOUNT = "acme.crt", "acme.key", "acme_account.key"
"""In ``secrets/``, beside the site's own authority."""
RENEW_BEFORE = timedelta(days=30)
"""Public certificates lived 200 days at most in 2026 and will live 47 in 2029; a third is kept in hand even then."""
ACCOUNT_BITS = 2048
WITHIN = timedelta(minutes=3)
ATTEMPTS = 4
USER_AGENT = "remotegpu"
CHALLENGES = ".well-known/acme-challenge"


class PublicCertificateError(Exception):
    """The authority gave none. The message holds its own words, and what to do."""


def present(site: Path) -> Pair | None:
    """The one that was brought last."""
    certificate, key = site / secrets.DIRECTORY / CERTIFICATE, site / secrets.DIRECTORY / KEY
    if not (certificate.exists() and key.exists()):
        return None
    return Pair(certificate.read_text(encoding="utf-8"), key.read_text(encoding="utf-8"))


def is_due(pair: Pair | None, now: datetime) -> bool:
    """Whether a new one should be brought. Pure."""
    return pair is None or certificates.ends_at(pair.certificate) - now < RENEW_BEFORE


def bring(site: Path, *, directory: str, email: str, domain: str, webroot: Path, now: datetime) -> Pair:
    """A new certificate for ``domain``, kept in ``site/secrets``. ``webroot``: what is shown below ``/`` on port 80.

    Raises :class:`PublicCertificateError`; the one that is there stays.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        authority = _signed_in(site, directory, email)
        chain = _asked(lambda: _chain(authority, _request(key, domain), webroot, now + WITHIN))
    except (errors.Error, messages.Error, requests.RequestException) as error:
        raise PublicCertificateError(
            f"{directory} gave no certificate for {domain}: {_said(error)}. The name must lead to this node, and "
            f"http://{domain}/{CHALLENGES}/ must be reached from outside on port 80"
        ) from error
    pair = Pair(chain, _pem(key))
    files.write_private(site / secrets.DIRECTORY / KEY, pair.key, mode=secrets.ONLY_READ_BY_OWNER)
    files.write_private(site / secrets.DIRECTORY / CERTIFICATE, pair.certificate, mode=0o444)
    return pair


def _asked(work: Callable[[], T]) -> T:
    """Authorities may call a nonce used up for no fault of ours (RFC 8555 §6.5); the library asks only once more."""
    for _ in range(ATTEMPTS - 1):
        try:
            return work()
        except messages.Error as error:
            if error.code != "badNonce":
                raise
    return work()


def _chain(authority: client.ClientV2, request: bytes, webroot: Path, deadline: datetime) -> str:
    order = authority.new_order(request)
    _prove(authority, order, webroot)
    done = authority.poll_and_finalize(order, deadline=deadline.replace(tzinfo=None))
    return str(done.fullchain_pem)


def _said(error: Exception) -> str:
    """What the authority found at each name, where it says so."""
    if isinstance(error, errors.ValidationError):
        problems = (
            challenge.error
            for authorization in error.failed_authzrs
            for challenge in _challenges(authorization)
            if challenge.error
        )
        return "; ".join(str(problem) for problem in problems)
    return str(error) or type(error).__name__


def _signed_in(site: Path, directory: str, email: str) -> client.ClientV2:
    key = JWKRSA(key=_account_key(site / secrets.DIRECTORY / ACCOUNT))
    network = client.ClientNetwork(key, user_agent=USER_AGENT)
    authority = client.ClientV2(client.ClientV2.get_directory(directory, network), network)
    registration = messages.NewRegistration.from_data(email=email or None, terms_of_service_agreed=True)
    try:
        _asked(lambda: authority.new_account(registration))
    except errors.ConflictError as known:
        found = messages.RegistrationResource(body=messages.Registration(), uri=known.location)
        network.account = _asked(lambda: authority.query_registration(found))
    return authority


def _account_key(path: Path) -> rsa.RSAPrivateKey:
    if not path.exists():
        made = rsa.generate_private_key(public_exponent=65537, key_size=ACCOUNT_BITS)
        files.write_private(path, _pem(made), mode=secrets.ONLY_READ_BY_OWNER)
    found = serialization.load_pem_private_key(path.read_bytes(), password=None)
    assert isinstance(found, rsa.RSAPrivateKey)
    return found


def _request(key: ec.EllipticCurvePrivateKey, domain: str) -> bytes:
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain[:64])]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(domain)]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


def _prove(authority: client.ClientV2, order: messages.OrderResource, webroot: Path) -> None:
    """Show what only this node can show. Files of earlier proofs go."""
    folder = webroot / CHALLENGES
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for authorization in _authorizations(order):
        if authorization.body.status == messages.STATUS_VALID:
            continue  # proved a short while ago, and still believed (RFC 8555 §7.4)
        for challenge in _challenges(authorization):
            if isinstance(challenge.chall, challenges.HTTP01):
                response, validation = challenge.response_and_validation(authority.net.key)
                files.write_private(folder / _name(challenge.chall), validation, mode=0o644)
                authority.answer_challenge(challenge, response)


def _authorizations(order: Any) -> list[messages.AuthorizationResource]:  # Any: its type hints name a decoder
    return list(order.authorizations)


def _challenges(authorization: Any) -> list[Any]:  # Any: same
    return list(authorization.body.challenges)


def _name(challenge: Any) -> str:  # Any: the library ships its challenges without types
    return str(challenge.encode("token"))


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
