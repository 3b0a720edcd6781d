"""A private certificate authority with one node certificate, for mutual TLS between SeaweedFS's own parts."""

import datetime as dt
import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_VALID_FOR = dt.timedelta(days=3650)
_CLOCK_SKEW = dt.timedelta(days=1)


@dataclass(frozen=True)
class NodeCertificate:
    """PEM texts. The authority's key is not among them: it is forgotten, so nobody can sign a second node."""

    authority: str
    certificate: str
    key: str


def issue(now: dt.datetime) -> NodeCertificate:
    """A fresh authority and one certificate for 127.0.0.1 and localhost, signed by it."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    node_key = ec.generate_private_key(ec.SECP256R1())
    issuer = _name("RemoteGPU embedded objects")
    authority = (
        _builder(issuer, issuer, now)
        .public_key(authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    node = (
        _builder(_name("node"), issuer, now)
        .public_key(node_key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return NodeCertificate(authority=_pem(authority), certificate=_pem(node), key=_key_pem(node_key))


def _builder(subject: x509.Name, issuer: x509.Name, now: dt.datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _VALID_FOR)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
