"""What a customer's process sees: shell, environment, identity. Built from nothing, never from the agent's own."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from remotegpu.agent.access.hosts.identity import Identity
from remotegpu.agent.access.hosts.terminal import Command
from remotegpu.agent.accounts import AccountIdentity
from remotegpu.agent.accounts.adapter import ACCOUNT_ENV

_SYSTEM_PATH = (
    "/usr/local/nvidia/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)
_ACCEPTED = re.compile(r"LANG|LC_[A-Z]+|COLORTERM")
_HARMLESS = re.compile(r"[A-Za-z0-9._@=-]{1,64}")
_TERM = re.compile(r"[A-Za-z0-9+._-]{1,64}")
_SHELLS = ("/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash", "/bin/sh")


def login_shell() -> str:
    """Bash where there is one, else sh."""
    return next(shell for shell in _SHELLS if Path(shell).exists() or shell == "/bin/sh")


def environment(
    account: AccountIdentity, *, term: str | None, asked: Mapping[str, str], agent_path: str | None = None
) -> dict[str, str]:
    """The process's environment. ``term`` is None without a terminal.

    ``asked`` is what the SSH client sent: only language settings pass, as with the usual ``AcceptEnv``.
    ``agent_path`` is the agent's own PATH, for directory isolation, where its tools are the customer's too.
    """
    result = {"LANG": "C.UTF-8"}
    result |= {
        name: value
        for name, value in asked.items()
        if _ACCEPTED.fullmatch(name) and _HARMLESS.fullmatch(value)
    }
    result |= {
        "HOME": str(account.home),
        "USER": account.name,
        "LOGNAME": account.name,
        "SHELL": login_shell(),
        "PATH": agent_path if account.uid is None and agent_path else _SYSTEM_PATH,
        ACCOUNT_ENV: account.name,
    }
    if term is not None:
        result["TERM"] = term if _TERM.fullmatch(term) else "xterm-256color"
    return result


def terminal_command(env: Mapping[str, str], command: str | None) -> Command:
    """A login shell, or ``command`` run by the shell, for a terminal."""
    shell = login_shell()
    name = shell.rpartition("/")[2]
    argv = [f"-{name}"] if command is None else [name, "-c", command]
    return Command(executable=shell, argv=argv, env=dict(env))


def process_identity(account: AccountIdentity) -> Identity:
    """Whom a helper process has to become."""
    return Identity(
        uid=account.uid, gid=account.gid, groups=supplementary_groups(account), home=str(account.home)
    )


def supplementary_groups(account: AccountIdentity) -> list[int]:
    """Group ids from the group database, e.g. ``video`` and ``render`` for the GPU devices."""
    if account.uid is None or account.gid is None:
        return []
    return os.getgrouplist(account.name, account.gid)
