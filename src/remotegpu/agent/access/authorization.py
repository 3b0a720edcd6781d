"""Who may sign in as an account, decided from the desired state alone. Nothing here does I/O."""

import base64
import re
from collections.abc import Sequence

import asyncssh
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertPublicKeyTypes,
    load_ssh_public_identity,
)

from remotegpu.agent.access.credential import Credential
from remotegpu.protocol.sync import AccountSpec

# asyncssh reads principals as patterns in a quoted, comma-separated list: nothing that means something there passes.
_PRINCIPAL = re.compile(r"[A-Za-z0-9._@:/+=-]+")


def authorized_keys(account: AccountSpec, ca_keys: Sequence[str]) -> asyncssh.SSHAuthorizedKeys | None:
    """What asyncssh checks signatures against; None when nobody may sign in.

    Only the key of each line counts: options such as ``cert-authority`` or ``command=`` would let a customer's key
    line change what the account may do. Lines that are no keys are left out.
    """
    lines = [_line(key) for key in _keys(account.authorized_keys)]
    principals = ",".join(name for name in account.principals if _PRINCIPAL.fullmatch(name))
    if principals:
        lines += [f'cert-authority,principals="{principals}" {_line(key)}' for key in _keys(ca_keys)]
    return asyncssh.import_authorized_keys("\n".join(lines)) if lines else None


def credential_of(key_data: bytes) -> Credential:
    """Read the blob a client authenticated with, after its signature was checked."""
    algorithm = key_data[4 : 4 + int.from_bytes(key_data[:4], "big")]
    line = algorithm + b" " + base64.b64encode(key_data)
    try:
        presented = load_ssh_public_identity(line)
    except (UnsupportedAlgorithm, ValueError):
        presented = None
    if not isinstance(presented, SSHCertificate):
        fingerprint = asyncssh.import_public_key(line).get_fingerprint()
        return Credential(identity=f"key {fingerprint}", fingerprint=fingerprint)
    fingerprint = _fingerprint(presented.public_key())
    return Credential(
        identity=f"certificate {presented.key_id.decode('utf-8', 'replace') or fingerprint}",
        fingerprint=fingerprint,
        authority=_fingerprint(presented.signature_key()),
        principals=tuple(name.decode("utf-8", "replace") for name in presented.valid_principals),
    )


def is_still_allowed(credential: Credential, account: AccountSpec, ca_keys: Sequence[str]) -> bool:
    """Whether a connection opened with ``credential`` may go on under the new desired state.

    A certificate that ran out in the meantime does not count: it says who may begin, the lease says how long.
    """
    if credential.authority is None:
        return credential.fingerprint in {key.get_fingerprint() for key in _keys(account.authorized_keys)}
    authorities = {key.get_fingerprint() for key in _keys(ca_keys)}
    return credential.authority in authorities and not set(credential.principals).isdisjoint(
        account.principals
    )


def _keys(lines: Sequence[str]) -> list[asyncssh.SSHKey]:
    keys: list[asyncssh.SSHKey] = []
    for line in lines:
        try:
            keys.append(asyncssh.import_public_key(line.strip()))
        except asyncssh.KeyImportError:
            continue
    return keys


def _line(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode("utf-8").splitlines()[0]


def _fingerprint(key: SSHCertPublicKeyTypes) -> str:
    """``SHA256:…`` as asyncssh and ``ssh-keygen -l`` write it."""
    line = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return asyncssh.import_public_key(line).get_fingerprint()
