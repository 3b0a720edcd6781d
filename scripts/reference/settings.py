"""``docs/reference/settings.md``: what server, worker and agent really read, with their defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from unittest.mock import patch

from reference.marks import cell, header
from remotegpu.agent import settings as agent_settings
from remotegpu.kit.environment import Environment
from remotegpu.server import settings as server_settings

T = TypeVar("T")

SERVER = {
    "AGENT_DIAL_TIMEOUT": "how long a person waits for the agent to dial a stream",
    "AGENT_LEASE_SECONDS": "how long an attempt keeps its lease without a sync",
    "AGENT_SYNC_WAIT": "how long the server holds an agent's poll",
    "AGENT_UNREACHABLE_AFTER": "silence after which a machine counts as unreachable",
    "DB_APP_GROUP": "role that `remotegpu server migrate` grants the application's rights to; by default `DB_USER`",
    "DB_HOST": "PostgreSQL's host",
    "DB_NAME": "database",
    "DB_OWNER_PASSWORD": "password of the owner role; only `remotegpu server migrate` needs it",
    "DB_OWNER_USER": "role that owns the tables and runs migrations; by default `DB_USER`",
    "DB_PASSWORD": "password of the application role",
    "DB_PORT": "PostgreSQL's port",
    "DB_SSLMODE": "libpq's sslmode; the authority's file is `PGSSLROOTCERT`",
    "DB_USER": "application role, or `DB_USER_FILE`; with another `DB_OWNER_USER` it cannot change audit entries",
    "INSTANCE_NAME": "name of this server process among several; by default random",
    "JWT_ACCESS_EXPIRE": "life of an access token",
    "JWT_REFRESH_EXPIRE": "life of a refresh token",
    "JWT_SECRET": "keys of 32 characters or more, separated by commas or newlines: the first signs, all verify",
    "METRICS_PORT": "port on which the worker shows its metrics to Prometheus; 0: nowhere",
    "LOG_LEVEL": "debug, info, warning or error",
    "PUBLIC_URL": "address under which people and agents reach the server",
    "REDIS_ADDR": "Redis or Valkey as HOST:PORT",
    "REDIS_CA_FILE": "with `REDIS_TLS`: PEM file of the authorities to believe; by default the system's",
    "REDIS_DB": "number of the Redis database",
    "REDIS_PASSWORD": "password of Redis",
    "REDIS_TLS": "`true`: speak TLS to Redis, and check its certificate and name",
    "REDIS_USER": "user of Redis",
    "S3_ACCESS_KEY": "access key of the object store",
    "S3_BUCKET": "bucket; made when it is missing",
    "S3_ENDPOINT": "object store as http://HOST:PORT or https://HOST",
    "S3_PUBLIC_ENDPOINT": "address in presigned URLs, where it differs from `S3_ENDPOINT`",
    "S3_REGION": "region of the object store",
    "S3_SECRET_KEY": "secret key of the object store",
    "SERVER_HOST": "address to listen on",
    "SERVER_PORT": "port to listen on",
    "SSH_CA_KEY": "OpenSSH ed25519 private key that signs user certificates",
    "TRUSTED_PROXIES": "addresses or networks, separated by commas, whose `X-Forwarded-For` is believed",
}
AGENT = {
    "REMOTEGPU_SERVER_URL": "the server; the agent only dials out",
    "REMOTEGPU_AGENT_TOKEN": "node token that `remotegpu agent enroll` wrote",
    "REMOTEGPU_DATA_DIR": "where the agent keeps its journal, logs and keys",
    "REMOTEGPU_ISOLATION": "`linux`: an account per customer (needs root); `directory`: same account, for evaluation",
    "REMOTEGPU_LOG_LEVEL": "debug, info, warning or error",
    "REMOTEGPU_SIMULATE_GPUS": "show this many simulated GPUs instead of real ones",
    "REMOTEGPU_PYTHON": "interpreter of tasks of kind `python`, by default python3 on PATH",
}


class Recorder(Environment):
    """Notes every setting that is asked for, with its default, and answers with nothing."""

    def __init__(self) -> None:
        super().__init__({})
        self.defaults: dict[str, str | None] = {}
        self.hidden: set[str] = set()

    def text(self, key: str, default: str | None = None) -> str:
        self.defaults[key] = default
        # Another owner than the application role, so that the owner's password is asked for too.
        return "owner" if key == "DB_OWNER_USER" else default or ""

    def parsed(self, key: str, default: str | None, parse: Callable[[str], T], fallback: T) -> T:  # noqa: ARG002
        self.defaults[key] = default
        return fallback

    def text_or_file(self, key: str, default: str) -> str:
        return self.text(key, default)

    def secret(self, key: str, *, required: bool = True) -> str:
        self.defaults[key] = None if required else ""
        self.hidden.add(key)
        return ""


def page() -> str:
    text = (
        header("what the programs read")
        + "# Settings\n\nAll settings come from the environment, and are checked "
    )
    text += "whole at start: every problem at once, with what was found and what is expected.\n"
    text += "A secret `NAME` is better given as `NAME_FILE`, the path of a file that holds it.\n\n"
    text += "## Server and worker\n\n" + table("server", SERVER, lambda: server_settings.load({}))
    text += "\n## Agent\n\n" + table("agent", AGENT, lambda: agent_settings.load({}, is_root=True))
    text += "\n## Command line\n\nSee [cli.md](cli.md#environment).\n"
    return text


def table(program: str, meanings: dict[str, str], load: Callable[[], object]) -> str:
    """Lets the program read its settings from a recorder, and describes what it asked for."""
    recorder = Recorder()
    with (
        patch.object(server_settings, "Environment", recorder_factory(recorder)),
        patch.object(agent_settings, "Environment", recorder_factory(recorder)),
    ):
        load()
    require_same(program, set(recorder.defaults), set(meanings))
    rows = ["| name | default | meaning |", "|---|---|---|"]
    for name in sorted(recorder.defaults):
        secret = " (secret)" if name in recorder.hidden else ""
        rows.append(
            f"| `{name}`{secret} | {show_default(name, recorder.defaults[name])} | {cell(meanings[name])} |"
        )
    return "\n".join(rows) + "\n"


def recorder_factory(recorder: Recorder) -> Callable[[object], Recorder]:
    def make(_variables: object) -> Recorder:
        return recorder

    return make


def show_default(name: str, default: str | None) -> str:
    """``see there`` where the default follows from another setting or from chance."""
    if name in {"DB_APP_GROUP", "DB_OWNER_USER", "INSTANCE_NAME", "S3_PUBLIC_ENDPOINT", "DB_OWNER_PASSWORD"}:
        return "see there"
    if default is None:
        return "**required**"
    return f"`{default}`" if default else "none"


def require_same(program: str, read: set[str], described: set[str]) -> None:
    """A setting without a description, or a description without a setting, stops the page."""
    if read != described:
        raise SystemExit(
            f"docs: the {program} reads {sorted(read - described) or 'nothing'} without a description, and "
            f"{sorted(described - read) or 'nothing'} is described but not read; do next: edit {__file__}"
        )
