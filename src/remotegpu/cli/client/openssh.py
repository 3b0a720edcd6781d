"""OpenSSH's side of remote access: key pair, certificate, pinned host key, argument lists, config blocks.

The real ``ssh`` does the work, so that everything its users know (agent, multiplexing, ``~/.ssh/config``) works.
Byte transport is ``remotegpu ssh-proxy``. The pure functions decide; :func:`make_key_pair` and :class:`Identity`
touch the disk.
"""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from remotegpu.client.errors import ClientError
from remotegpu.client.models import SshCertificate


@dataclass(frozen=True)
class Identity:
    """The files one connection needs, in a folder only the user can read."""

    folder: Path

    @property
    def key(self) -> Path:
        return self.folder / "id_ed25519"

    @property
    def public_key(self) -> Path:
        return self.folder / "id_ed25519.pub"

    @property
    def certificate(self) -> Path:
        return self.folder / "id_ed25519-cert.pub"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def config(self) -> Path:
        return self.folder / "config"

    def store(self, machine_id: str, granted: SshCertificate) -> None:
        """Keeps the certificate and pins the machine's host key under its id."""
        self.certificate.write_text(granted.certificate.strip() + "\n")
        self.known_hosts.write_text(f"{machine_id} {granted.host_key.strip()}\n")


def find_program(name: str) -> str:
    """Raises :class:`ClientError` with the package to install."""
    path = shutil.which(name)
    if path is None:
        raise ClientError(
            f"no {name} on PATH",
            "OpenSSH's client",
            "install it (Debian, Ubuntu: apt-get install openssh-client), or use the console's terminal",
        )
    return path


def make_key_pair(identity: Identity) -> str:
    """A fresh ed25519 key pair without passphrase; returns the public key line."""
    identity.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in (identity.key, identity.public_key, identity.certificate):
        old.unlink(missing_ok=True)
    command = [
        find_program("ssh-keygen"),
        "-q",
        "-t",
        "ed25519",
        "-N",
        "",
        "-C",
        "remotegpu",
        "-f",
        str(identity.key),
    ]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise ClientError(
            f"ssh-keygen failed: {made.stderr.strip()}", f"a key in {identity.folder}", "check the folder"
        )
    return identity.public_key.read_text().strip()


def options(identity: Identity, machine_id: str, account: str, proxy: Sequence[str]) -> dict[str, str]:
    """What makes ``ssh`` reach this machine and no other, whatever the user's own configuration says."""
    return {
        "User": account,
        "ProxyCommand": shell_command([*proxy, "ssh-proxy", machine_id]),
        "IdentityFile": str(identity.key),
        "CertificateFile": str(identity.certificate),
        "IdentitiesOnly": "yes",
        "HostKeyAlias": machine_id,
        "UserKnownHostsFile": str(identity.known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
    }


def ssh_arguments(
    chosen: dict[str, str], host: str, extra: Sequence[str], command: Sequence[str]
) -> list[str]:
    """``ssh -o … EXTRA -- HOST COMMAND``; the command's words are quoted, so they arrive as they were typed."""
    flags = [word for key, value in chosen.items() for word in ("-o", assignment(key, value, "="))]
    return [*flags, *extra, "--", host, *([remote_command(command)] if command else [])]


def remote_command(command: Sequence[str]) -> str:
    """One word is a shell line, as with ``ssh`` itself; several are one program and its arguments."""
    return command[0] if len(command) == 1 else shlex.join(command)


def assignment(key: str, value: str, separator: str) -> str:
    """``key=value`` or ``key value`` in ssh's syntax. Blanks need quotes, but ProxyCommand takes the rest as it is."""
    if " " in value and key != "ProxyCommand":
        return f'{key}{separator}"{value}"'
    return f"{key}{separator}{value}"


def shell_command(command: Sequence[str]) -> str:
    """For the shell that ssh starts (with an ``exec`` of its own), with ``%`` doubled because ssh expands tokens."""
    return shlex.join(command).replace("%", "%%")


def own_command() -> list[str]:
    """How to start this very program again, also where it is not on PATH."""
    return [sys.executable, "-m", "remotegpu.cli.main"]


def config_block(alias: str, machine_name: str, config: Path, program: Sequence[str]) -> str:
    """For ``~/.ssh/config``. ``Match exec`` fetches a fresh certificate before each connection; the included file,
    written by it, names account, key and host key, so the block stays right across leases.
    """
    prepare = shell_command([*program, "ssh-prepare", machine_name])
    return f'Match host {alias} exec "{prepare}"\n    Include "{config}"\n'


def included_config(chosen: dict[str, str]) -> str:
    """The file that :func:`config_block` includes."""
    return "".join(assignment(key, value, " ") + "\n" for key, value in chosen.items())
