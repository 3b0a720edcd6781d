"""``ssh``, ``ssh-config``, and the two commands OpenSSH calls: ``ssh-proxy`` and ``ssh-prepare``."""

import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from remotegpu.cli.client import openssh
from remotegpu.cli.client.machines import find_machine
from remotegpu.cli.credentials import CredentialStore, connect
from remotegpu.cli.output import print_json, print_line
from remotegpu.client.api import Api
from remotegpu.client.errors import ClientError
from remotegpu.client.models import Machine, SshCertificate

CERTIFICATE_REUSE_S = 240.0
"""A stored certificate is used again for four of its five minutes."""
ALIAS_SUFFIX = ".remotegpu"


async def ssh(
    machine: str,
    *command: Annotated[str, Parameter(allow_leading_hyphen=True)],
    option: Annotated[tuple[str, ...], Parameter(name=["--option", "-o"], negative=())] = (),
    forward: Annotated[tuple[str, ...], Parameter(name=["--forward", "-L"], negative=())] = (),
) -> int:
    """Open a shell on a machine, or run a command there, with this computer's own ssh.

    Ends with the status of the command; 255 when the connection failed, as ssh does.

    Parameters
    ----------
    machine
        Name or id of the machine.
    command
        What to run, after `--`. One word is a shell line; several are a program and its arguments.
    option
        An option for ssh, such as `-o ForwardAgent=yes`; may be repeated.
    forward
        A port to forward, as ssh's -L takes it; may be repeated.
    """
    program = openssh.find_program("ssh")
    with tempfile.TemporaryDirectory(prefix="remotegpu-ssh-") as folder:
        identity = openssh.Identity(Path(folder))
        async with connect() as api:
            found = await find_machine(api, machine)
            granted = await obtain_certificate(api, found, identity)
        chosen = openssh.options(identity, found.id, granted.account, openssh.own_command())
        extra = [word for value in option for word in ("-o", value)]
        extra += [word for value in forward for word in ("-L", value)]
        return run_ssh([program, *openssh.ssh_arguments(chosen, host_alias(found), extra, command)])


def run_ssh(arguments: list[str]) -> int:
    """ssh has the terminal, so Ctrl-C is for the program on the machine, not for us."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = subprocess.Popen(arguments, preexec_fn=restore_interrupt)  # noqa: PLW1509 - no thread runs here
        return process.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def restore_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def obtain_certificate(api: Api, machine: Machine, identity: openssh.Identity) -> SshCertificate:
    """A fresh key pair and the server's certificate for it, stored with the machine's host key."""
    body = {"public_key": openssh.make_key_pair(identity)}
    granted = await api.post(f"/machines/{machine.id}/ssh-certificate", SshCertificate, body)
    if not granted.host_key.strip():
        raise ClientError(
            f"{machine.name} has not told its host key yet",
            "a machine that is online",
            "try again in a minute",
        )
    identity.store(machine.id, granted)
    return granted


async def ssh_proxy(machine: str) -> int:
    """Join standard input and output to a machine's SSH server (OpenSSH's ProxyCommand).

    Parameters
    ----------
    machine
        Name or id of the machine.
    """
    from remotegpu.cli.client.splice import splice_stdio

    async with connect() as api:
        found = await find_machine(api, machine)
        async with api.websocket(f"/machines/{found.id}/ssh") as socket:
            return await splice_stdio(socket)


async def ssh_prepare(machine: str) -> None:
    """Fetch a certificate for the machine unless a fresh one is there (OpenSSH's Match exec).

    Parameters
    ----------
    machine
        Name of the machine.
    """
    identity = stored_identity(machine)
    if is_fresh(identity):
        return
    async with connect() as api:
        found = await find_machine(api, machine)
        granted = await obtain_certificate(api, found, identity)
    chosen = openssh.options(identity, found.id, granted.account, openssh.own_command())
    identity.config.write_text(openssh.included_config(chosen))


async def ssh_config(
    machine: str | None = None, *, json: Annotated[bool, Parameter(negative=())] = False
) -> None:
    """Print a block for ~/.ssh/config, so that ssh, scp, rsync and VS Code reach machines by name.

    Use it as `remotegpu ssh-config >> ~/.ssh/config`, then `ssh NAME.remotegpu`.

    Parameters
    ----------
    machine
        Only this machine; by default all that you may use.
    json
        Print names and blocks as JSON.
    """
    openssh.find_program("ssh")
    async with connect() as api:
        if machine:
            found = [await find_machine(api, machine)]
        else:
            rows = await api.items("/machines", {"sort": "name"})
            found = [msgspec.json.decode(row, type=Machine) for row in rows]
    blocks = {host_alias(each): block_for(each) for each in found}
    if json:
        print_json([{"host": host, "config": block} for host, block in blocks.items()])
        return
    print_line("# RemoteGPU: ssh NAME" + ALIAS_SUFFIX)
    for block in blocks.values():
        print_line(block)


def block_for(machine: Machine) -> str:
    config = stored_identity(machine.name).config
    return openssh.config_block(host_alias(machine), machine.name, config, openssh.own_command())


def host_alias(machine: Machine) -> str:
    """A host name ssh accepts; a machine's name may hold more than that."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", machine.name).lstrip("-") + ALIAS_SUFFIX


def stored_identity(machine_name: str) -> openssh.Identity:
    folder = re.sub(r"[^A-Za-z0-9._-]", "-", machine_name).lstrip(".-") or "machine"
    return openssh.Identity(CredentialStore().folder / "ssh" / folder)


def is_fresh(identity: openssh.Identity) -> bool:
    try:
        age = time.time() - identity.certificate.stat().st_mtime
    except FileNotFoundError:
        return False
    return 0 <= age < CERTIFICATE_REUSE_S and identity.config.exists() and os.access(identity.key, os.R_OK)
