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
    "AGENT_LEASE_SECONDS": "how long an attempt keeps its lease without a sync",
    "AGENT_UNREACHABLE_AFTER": "silence after which a machine counts as unreachable",
    "DB_HOST": "PostgreSQL's host",
    "DB_NAME": "database",
    "DB_OWNER_PASSWORD": "password of the owner role; only `remotegpu server migrate` needs it",
    "DB_OWNER_USER": "role that owns the tables and runs migrations; by default `DB_USER`",
    "DB_PASSWORD": "password of the application role",
    "DB_PORT": "PostgreSQL's port",
    "DB_SSLMODE": "libpq's sslmode",
    "DB_USER": "application role; it cannot change or remove audit entries",
    "INSTANCE_NAME": "name of this server process among several; by default random",
    "JWT_ACCESS_EXPIRE": "life of an access token",
    "JWT_REFRESH_EXPIRE": "life of a refresh token",
    "JWT_SECRET": "keys of 32 characters or more, separated by commas or newlines: the first signs, all verify",
    "LOG_LEVEL": "debug, info, warning or error",
    "PUBLIC_URL": "address under which people and agents reach the server",
    "REDIS_ADDR": "Redis or Valkey as HOST:PORT",
    "REDIS_DB": "number of the Redis database",
    "REDIS_PASSWORD": "password of Redis",
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

    def __init__(self, defaults: dict[str, str | None], hidden: set[str]) -> None:
        super().__init__({})
        self._defaults = defaults
        self._hidden = hidden

    def text(self, key: str, default: str | None = None) -> str:
        self._defaults[key] = default
        return default or ""

    def parsed(self, key: str, default: str | None, parse: Callable[[str], T], fallback: T) -> T:  # noqa: ARG002
        self._defaults[key] = default
        return fallback

    def secret(self, key: str, *, required: bool = True) -> str:
        self._defaults[key] = None if required else ""
        self._hidden.add(key)
        return ""


class Asked(dict[str, str]):
    """An empty environment that remembers which names were looked up."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def get(self, key: str, default: str | None = None) -> str | None:  # pyright: ignore[reportIncompatibleMethodOverride] - only this form is used
        self.names.append(key)
        return default


def page() -> str:
    text = (
        header("what the programs read")
        + "# Settings\n\nAll settings come from the environment, and are checked "
    )
    text += "whole at start: every problem at once, with what was found and what is expected.\n"
    text += "A secret `NAME` is better given as `NAME_FILE`, the path of a file that holds it.\n\n"
    text += "## Server and worker\n\n" + server_table()
    text += "\n## Agent\n\n" + agent_table()
    text += "\n## Command line\n\nSee [cli.md](cli.md#environment).\n"
    return text


def server_table() -> str:
    defaults: dict[str, str | None] = {}
    hidden: set[str] = set()

    def recorder(_variables: object) -> Recorder:
        return Recorder(defaults, hidden)

    with (
        patch.object(server_settings, "Environment", recorder),
        patch.object(server_settings, "secrets") as random,
    ):
        random.token_hex.return_value = "RANDOM"
        server_settings.load({})
        server_settings.load_database(owner_differs(defaults, hidden))
    require_same("server", set(defaults), set(SERVER))
    rows = ["| name | default | meaning |", "|---|---|---|"]
    for name in sorted(defaults):
        shown = show_default(name, defaults[name])
        secret = " (secret)" if name in hidden else ""
        rows.append(f"| `{name}`{secret} | {shown} | {cell(SERVER[name])} |")
    return "\n".join(rows) + "\n"


def owner_differs(defaults: dict[str, str | None], hidden: set[str]) -> Recorder:
    """The owner's password is only asked for when the owner is another role."""
    recorder = Recorder(defaults, hidden)
    usual = recorder.text
    recorder.text = lambda key, default=None: "owner" if key == "DB_OWNER_USER" else usual(key, default)
    return recorder


def show_default(name: str, default: str | None) -> str:
    if name in {"DB_OWNER_USER", "INSTANCE_NAME", "S3_PUBLIC_ENDPOINT", "DB_OWNER_PASSWORD"}:
        return "see there"
    return "**required**" if default is None else f"`{default}`"


def agent_table() -> str:
    asked = Asked()
    try:
        agent_settings.load(asked, is_root=True)
    except agent_settings.SettingsError as error:
        required = {problem.key for problem in error.problems}
    else:
        required = set[str]()
    names = sorted({name.removesuffix("_FILE") for name in asked.names})
    require_same("agent", set(names), set(AGENT))
    rows = ["| name | needed | meaning |", "|---|---|---|"]
    rows += [f"| `{name}` | {'yes' if name in required else 'no'} | {cell(AGENT[name])} |" for name in names]
    return "\n".join(rows) + "\n"


def require_same(program: str, read: set[str], described: set[str]) -> None:
    """A setting without a description, or a description without a setting, stops the page."""
    if read != described:
        raise SystemExit(
            f"docs: the {program} reads {sorted(read - described) or 'nothing'} without a description, and "
            f"{sorted(described - read) or 'nothing'} is described but not read; do next: edit {__file__}"
        )
