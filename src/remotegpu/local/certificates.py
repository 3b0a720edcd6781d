"""A private certificate authority with one node certificate, for mutual TLS between SeaweedFS's own parts."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from remotegpu.kit import certificates

_VALID_FOR = timedelta(days=3650)


@dataclass(frozen=True)
class NodeCertificate:
    """PEM texts. The authority's key is not among them: it is forgotten, so nobody can sign a second node."""

    authority: str
    certificate: str
    key: str


def issue(now: datetime) -> NodeCertificate:
    """A fresh authority and one certificate for 127.0.0.1 and localhost, signed by it."""
    authority = certificates.new_authority("RemoteGPU embedded objects", now, _VALID_FOR)
    node = certificates.issue(authority, ["127.0.0.1", "localhost"], now, _VALID_FOR)
    return NodeCertificate(authority=authority.certificate, certificate=node.certificate, key=node.key)
