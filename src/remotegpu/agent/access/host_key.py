"""The agent's SSH host key: made once per host, so that clients can recognise it."""

import os
from pathlib import Path

import asyncssh

_NAME = "ssh_host_ed25519_key"


def load_or_create(data_dir: Path) -> asyncssh.SSHKey:
    """The ed25519 key in ``data_dir``, created with mode 0600 when missing.

    Raises ``asyncssh.KeyImportError`` for a file that is no key: a damaged key is not silently replaced, because
    every client would then warn of an impostor.
    """
    path = data_dir / _NAME
    if not path.exists():
        _write_once(path, asyncssh.generate_private_key("ssh-ed25519", comment="remotegpu-agent"))
    return asyncssh.read_private_key(path)


def public_line(key: asyncssh.SSHKey) -> str:
    """``ssh-ed25519 AAAA…`` without comment or line end."""
    algorithm, encoded = key.export_public_key().decode("ascii").split()[:2]
    return f"{algorithm} {encoded}"


def _write_once(path: Path, key: asyncssh.SSHKey) -> None:
    """Whole or not at all, also when the host loses power in between."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.export_private_key())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
