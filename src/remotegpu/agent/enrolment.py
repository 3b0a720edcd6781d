"""First contact: a join token becomes this node's own token, kept in the agent's environment file."""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from remotegpu import __version__
from remotegpu.agent import settings
from remotegpu.agent.client import ProtocolRefusedError, ServerClient, TokenRefusedError
from remotegpu.agent.tasks.uplink import RejectedError, UnreachableError
from remotegpu.kit.environment import Environment
from remotegpu.kit.files import write_private
from remotegpu.protocol.enrolment import EnrolRequest, EnrolResponse
from remotegpu.protocol.inventory import Inventory
from remotegpu.protocol.version import PROTOCOL_VERSION

TOKEN_KEY = "REMOTEGPU_AGENT_TOKEN"  # noqa: S105 — the name of a variable
MAX_TOKEN_BYTES = 4096


class EnrolmentError(Exception):
    """This host could not be enrolled; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentPlan:
    """What was asked for. ``name`` is None for the host's own name."""

    server_url: str
    token_file: str
    env_file: Path
    data_dir: Path
    name: str | None = None
    simulate_gpus: int = 0
    isolation: str = ""
    force: bool = False


def enrol(plan: EnrolmentPlan) -> EnrolResponse:
    """Enrol this host and write its environment file.

    Raises :class:`EnrolmentError`, or :class:`~remotegpu.kit.environment.SettingsError` for unusable arguments.
    """
    _check(plan)
    join_token = read_join_token(plan.token_file)
    _check_env_file(plan)
    response = asyncio.run(_exchange(plan, join_token))
    try:
        write_private(plan.env_file, env_file_text(plan, response).encode())
    except OSError as error:
        raise EnrolmentError(
            f"this host is enrolled as machine {response.machine_id}, but {plan.env_file} cannot be written "
            f"({error.strerror}); make it writable and enrol again, then delete that machine"
        ) from error
    return response


def read_join_token(source: str) -> str:
    """The token in the file ``source``, or from stdin for ``-``. Raises :class:`EnrolmentError`."""
    try:
        content = sys.stdin.buffer.read(MAX_TOKEN_BYTES) if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise EnrolmentError(f"cannot read the join token from {source!r}: {error.strerror}") from error
    try:
        token = content.decode("ascii").strip()
    except UnicodeDecodeError:
        token = ""
    if not token or len(token.split()) != 1 or len(content) > MAX_TOKEN_BYTES:
        where = "stdin" if source == "-" else repr(source)
        raise EnrolmentError(f"{where} holds no join token, expected one word such as `remotegpu` shows once")
    return token


def env_file_text(plan: EnrolmentPlan, response: EnrolResponse) -> str:
    """Content for systemd's ``EnvironmentFile=``. Values are quoted where they hold more than plain characters."""
    values = {
        "REMOTEGPU_SERVER_URL": plan.server_url.rstrip("/"),
        TOKEN_KEY: response.agent_token,
        "REMOTEGPU_LOG_LEVEL": "info",
        "REMOTEGPU_DATA_DIR": str(plan.data_dir),
    }
    if plan.simulate_gpus:
        values["REMOTEGPU_SIMULATE_GPUS"] = str(plan.simulate_gpus)
    if plan.isolation:
        values["REMOTEGPU_ISOLATION"] = plan.isolation
    lines = [f"# Machine {response.machine_id}. Written by `remotegpu agent enroll`; holds a secret."]
    lines += [f"{key}={_quoted(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def read_env_file(path: Path) -> dict[str, str]:
    """Variables of a file written by :func:`env_file_text`. Raises ``OSError``."""
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith("#"):
            plain = value[1:-1] if value[:1] == value[-1:] == '"' else value
            found[key] = plain.replace('\\"', '"').replace("\\\\", "\\")
    return found


def with_env_file(environ: Mapping[str, str], path: Path | None) -> dict[str, str]:
    """``environ`` over what ``path`` holds, as systemd would have merged them."""
    return {**(read_env_file(path) if path else {}), **environ}


def _check(plan: EnrolmentPlan) -> None:
    """All unusable arguments at once."""
    isolation = partial(settings.parse_isolation, is_root=os.geteuid() == 0)
    arguments = Environment(
        {
            "--server": plan.server_url,
            "--isolation": plan.isolation,
            "--simulate-gpus": str(plan.simulate_gpus),
            "--data-dir": str(plan.data_dir),
        }
    )
    arguments.parsed("--server", None, settings.parse_server_url, "")
    arguments.parsed("--isolation", "linux", isolation, "linux")
    arguments.parsed("--simulate-gpus", "0", settings.parse_gpu_count, 0)
    arguments.parsed("--data-dir", None, settings.parse_data_dir, plan.data_dir)
    arguments.finish()


def _check_env_file(plan: EnrolmentPlan) -> None:
    """Before the join token is used up: may the result be kept?"""
    try:
        enrolled = plan.env_file.exists() and TOKEN_KEY in read_env_file(plan.env_file)
    except (OSError, UnicodeDecodeError) as error:
        raise EnrolmentError(f"cannot read {plan.env_file}: {error}") from error
    if enrolled and not plan.force:
        raise EnrolmentError(
            f"{plan.env_file} holds a node token already: this host is enrolled. "
            "To enrol it anew pass --force, and delete the old machine on the server"
        )
    folder = plan.env_file.absolute().parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        plan.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
    except OSError as error:
        raise EnrolmentError(f"cannot create {error.filename}: {error.strerror}") from error
    for path in (folder, plan.data_dir):
        if not os.access(path, os.W_OK):
            raise EnrolmentError(f"cannot write to {path}; run this as a user who may")


async def _exchange(plan: EnrolmentPlan, join_token: str) -> EnrolResponse:
    inventory = await asyncio.to_thread(_inventory, plan)
    request = EnrolRequest(
        join_token=join_token,
        name=plan.name or inventory.hostname,
        protocol_version=PROTOCOL_VERSION,
        agent_version=__version__,
        inventory=inventory,
    )
    client = ServerClient(plan.server_url)
    try:
        return await client.enrol(request)
    except TokenRefusedError as error:
        raise EnrolmentError(
            f"the server refuses the join token ({error}); it is mistyped, used up, expired or revoked: "
            "create a new one"
        ) from error
    except ProtocolRefusedError as error:
        raise EnrolmentError(
            f"the server does not speak protocol {PROTOCOL_VERSION} ({error}); install the matching version"
        ) from error
    except RejectedError as error:
        raise EnrolmentError(_rejection(plan.server_url, str(error))) from error
    except UnreachableError as error:
        raise EnrolmentError(_unreachable(plan.server_url, str(error))) from error
    finally:
        await client.close()


def _rejection(server_url: str, detail: str) -> str:
    if detail.startswith(("3", "404", "405")):
        return f"{server_url} answered, but is not a RemoteGPU server ({detail}); check --server"
    return f"the server refuses to enrol this host: {detail}"


def _unreachable(server_url: str, detail: str) -> str:
    if detail.startswith("TLS:"):
        return (
            f"no secure connection to {server_url}: {detail}. Its certificate must be valid for that name; "
            "for a private authority set SSL_CERT_FILE to its certificate"
        )
    return f"cannot reach the server at {server_url}: {detail}"


def _inventory(plan: EnrolmentPlan) -> Inventory:
    from remotegpu.agent import inventory  # noqa: PLC0415 — psutil and GPU libraries, only once all else is right
    from remotegpu.agent.access import host_key  # noqa: PLC0415 — asyncssh, same
    from remotegpu.agent.gpus import GpuError, open_gpus  # noqa: PLC0415 — same

    key = host_key.public_line_in(plan.data_dir)
    gpus = open_gpus(plan.simulate_gpus)
    try:
        return inventory.collect(gpus, ssh_host_key=key, isolation=plan.isolation or "linux")
    except GpuError as error:
        raise EnrolmentError(
            f"the GPUs of this host cannot be read: {error}; repair the driver (`nvidia-smi` must work) first"
        ) from error
    finally:
        gpus.close()


def _quoted(value: str) -> str:
    if value and all(character.isalnum() or character in "/._:-+@=" for character in value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
