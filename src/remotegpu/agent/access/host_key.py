"""The agent's SSH host key: made once per host, so that clients can recognise it.

Its public line lies beside it, so that an agent nobody uses SSH on need not load asyncssh, a quarter of its memory.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncssh

_NAME = "ssh_host_ed25519_key"


def public_line_in(data_dir: Path) -> str:
    """``ssh-ed25519 AAAA…`` of the key in ``data_dir``, which is made when there is none."""
    path = data_dir / f"{_NAME}.pub"
    if not path.exists() or not (data_dir / _NAME).exists():
        load_or_create(data_dir)
    return path.read_text(encoding="ascii").strip()


def load_or_create(data_dir: Path) -> "asyncssh.SSHKey":
    """The ed25519 key in ``data_dir``, created with mode 0600 when missing; its public line is brought up to date.

    Raises ``asyncssh.KeyImportError`` for a file that is no key: a damaged key is not silently replaced, because
    every client would then warn of an impostor.
    """
    import asyncssh  # noqa: PLC0415 — see the top

    path = data_dir / _NAME
    if not path.exists():
        made = asyncssh.generate_private_key("ssh-ed25519", comment="remotegpu-agent")
        _write_whole(path, made.export_private_key(), 0o600)
    key = asyncssh.read_private_key(path)
    _write_whole(path.with_suffix(".pub"), f"{public_line(key)}\n".encode(), 0o644)
    return key


def public_line(key: "asyncssh.SSHKey") -> str:
    """``ssh-ed25519 AAAA…`` without comment or line end."""
    algorithm, encoded = key.export_public_key().decode("ascii").split()[:2]
    return f"{algorithm} {encoded}"


def _write_whole(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all, also when the host loses power in between."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
