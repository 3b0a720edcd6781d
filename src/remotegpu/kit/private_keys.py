"""Making private keys. Needs the package ``cryptography``, which each program that uses it brings."""

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def new_ssh_key() -> str:
    """An ed25519 key in OpenSSH's own format, as ``ssh-keygen -t ed25519 -N ''`` writes it."""
    return (
        Ed25519PrivateKey.generate()
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
        .decode()
    )
