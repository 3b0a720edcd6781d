"""From an attempt to the process that runs it: argument list, environment, files. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from remotegpu.agent.accounts import AccountIdentity
from remotegpu.agent.accounts.adapter import ACCOUNT_ENV
from remotegpu.protocol.attempts import AttemptSpec

SYSTEM_PATH = (
    "/usr/local/nvidia/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)
ATTEMPT_ID_ENV = "REMOTEGPU_ATTEMPT_ID"
"""Marks every process of an attempt, so that they are found when the process owning them was killed."""


class HostSpec(msgspec.Struct, kw_only=True, frozen=True):
    """``spec.json`` of :mod:`remotegpu.agent.tasks.attempt_host`, which may not import this."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    uid: int | None
    gid: int | None
    user: str
    timeout_s: float
    grace_s: float
    max_log_bytes: int


@dataclass(frozen=True, slots=True)
class Interpreters:
    """What tasks find on this host: ``python`` for kind ``python``, ``path`` as their ``PATH``."""

    python: str = "python3"
    path: str = SYSTEM_PATH


def host_spec(
    spec: AttemptSpec, account: AccountIdentity, *, files: Path, output: Path, interpreters: Interpreters
) -> HostSpec:
    """What the attempt host needs to know. ``files`` is where :func:`program_files` will be."""
    return HostSpec(
        argv=_argv(spec, files, interpreters),
        env=_environment(spec, account, output, interpreters),
        cwd=str(account.home / spec.workdir if spec.workdir else account.home),
        uid=account.uid,
        gid=account.gid,
        user=account.name,
        timeout_s=spec.timeout_s,
        grace_s=spec.grace_s,
        max_log_bytes=spec.max_log_bytes,
    )


def program_files(spec: AttemptSpec) -> Mapping[str, str]:
    """Files the command consists of, by name."""
    match spec.kind:
        case "shell":
            return {}
        case "python":
            return {"main.py": spec.command}
        case "script":
            return {"script": spec.command}


def _argv(spec: AttemptSpec, files: Path, interpreters: Interpreters) -> list[str]:
    match spec.kind:
        case "shell":
            return ["/bin/bash", "-c", spec.command, "bash", *spec.args]
        case "python":
            return [interpreters.python, str(files / "main.py"), *spec.args]
        case "script":
            return [str(files / "script"), *spec.args]


def _environment(
    spec: AttemptSpec, account: AccountIdentity, output: Path, interpreters: Interpreters
) -> dict[str, str]:
    """The customer's variables over our defaults, and under what identifies the attempt and its GPUs."""
    defaults = {
        "PATH": interpreters.path,
        "LANG": "C.UTF-8",
        "SHELL": "/bin/bash",
        "PYTHONUNBUFFERED": "1",
    }
    fixed = {
        "HOME": str(account.home),
        "USER": account.name,
        "LOGNAME": account.name,
        ACCOUNT_ENV: account.name,
        "CUDA_VISIBLE_DEVICES": ",".join(str(index) for index in spec.gpu_indices),
        "REMOTEGPU_OUTPUT_DIR": str(output),
        "REMOTEGPU_TASK_ID": spec.task_id,
        "REMOTEGPU_ATTEMPT": str(spec.number),
        ATTEMPT_ID_ENV: spec.attempt_id,
    }
    return defaults | spec.env | fixed
