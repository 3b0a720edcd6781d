"""Which processes the platform consists of, in which order, with which arguments and environment. Pure."""

import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from remotegpu.local import objects, postgres, valkey
from remotegpu.local.account import Account
from remotegpu.local.binaries import Binaries
from remotegpu.local.layout import Layout
from remotegpu.local.probes import HttpProbe, PostgresProbe, Probe, ValkeyProbe
from remotegpu.local.secret_files import Secrets

ADMIN_EMAIL = "admin@remotegpu.local"
SERVICE_MARK = "REMOTEGPU_LOCAL_DATA_DIR"
"""Set for every child, so that a later supervisor can tell its predecessor's processes from strangers."""

SERVICES = ("postgres", "valkey", "s3", "server", "worker", "agent")
JSON_LOGS = frozenset({"server", "worker", "agent"})
"""Our own programs, which log one JSON object per line."""

STEPS = ("roles", "migrate", "bootstrap", "credentials", "enrol")
"""What runs once at a start. Not every start has all of them."""

SUPERVISOR = "supervisor"
"""Names the log of a platform that runs in the background."""

_FOREIGN_PREFIXES = ("DB_", "REDIS_", "S3_", "JWT_", "SSH_CA_", "SERVER_", "AGENT_", "REMOTEGPU_", "PG")
_FOREIGN_NAMES = frozenset({"PUBLIC_URL", "INSTANCE_NAME", "LOG_LEVEL"})


@dataclass(frozen=True, kw_only=True)
class ServiceSpec:
    """One child process. A ``step`` runs once to its end; exit 0 is success.

    ``after``: names that must be ready (or done) first. ``probe``: None means "alive for ``settle_s`` seconds".
    ``owns_group``: everything in the child's process group dies with it. Not so for the agent, whose tasks go on.
    ``optional``: neither its failure nor its slowness holds up the platform.
    """

    name: str
    argv: list[str]
    environment: dict[str, str] = field(repr=False)
    directory: Path
    after: tuple[str, ...] = ()
    step: bool = False
    probe: Probe | None = None
    settle_s: float = 0.5
    account: Account | None = None
    port: int | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 10.0
    start_timeout_s: float = 30.0
    owns_group: bool = True
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the person asked for. ``isolation`` is the agent's; None leaves it to the agent."""

    port: int = 8080
    agent: bool = True
    simulate_gpus: int = 0
    isolation: str | None = None
    log_level: str = "info"
    python: str = sys.executable

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Site:
    """Everything decided before the first process starts."""

    layout: Layout
    secrets: Secrets
    ports: Mapping[str, int]
    binaries: Binaries
    postgres_bin: Path
    account: Account | None
    options: Options
    task_python: str = sys.executable
    """What tasks of kind ``python`` run with; another than ours where customers' accounts cannot reach it."""

    @property
    def object_files(self) -> objects.ObjectFiles:
        return objects.ObjectFiles(self.layout.objects)

    @property
    def valkey_configuration(self) -> Path:
        return self.layout.valkey / "valkey.conf"


def base_environment(inherited: Mapping[str, str], layout: Layout) -> dict[str, str]:
    """The caller's environment without anything that would configure our own programs or PostgreSQL's."""
    kept = {
        name: value
        for name, value in inherited.items()
        if not name.startswith(_FOREIGN_PREFIXES) and name not in _FOREIGN_NAMES
    }
    return {**kept, SERVICE_MARK: str(layout.root)}


def server_environment(secret: Secrets, ports: Mapping[str, int], options: Options) -> dict[str, str]:
    """Variables of server, worker and migrations. Secrets only as paths of private files."""
    return {
        "DB_HOST": "127.0.0.1",
        "DB_PORT": str(ports["postgres"]),
        "DB_NAME": postgres.DATABASE,
        "DB_USER": postgres.APP_ROLE,
        "DB_PASSWORD_FILE": str(secret.path("db_password")),
        "DB_OWNER_USER": postgres.OWNER_ROLE,
        "DB_OWNER_PASSWORD_FILE": str(secret.path("db_owner_password")),
        "DB_SSLMODE": "disable",  # loopback only; the embedded PostgreSQL has no certificate
        "REDIS_ADDR": f"127.0.0.1:{ports['valkey']}",
        "REDIS_PASSWORD_FILE": str(secret.path("redis_password")),
        "JWT_SECRET_FILE": str(secret.path("jwt_secret")),
        "SSH_CA_KEY_FILE": str(secret.path("ssh_ca_key")),
        "S3_ENDPOINT": f"http://127.0.0.1:{ports['s3']}",
        "S3_BUCKET": objects.BUCKET,
        "S3_REGION": objects.REGION,
        "S3_ACCESS_KEY_FILE": str(secret.path("s3_access_key")),
        "S3_SECRET_KEY_FILE": str(secret.path("s3_secret_key")),
        "SERVER_HOST": "127.0.0.1",
        "SERVER_PORT": str(options.port),
        "PUBLIC_URL": options.url,
        "LOG_LEVEL": options.log_level,
        "INSTANCE_NAME": "local",
    }


def data_services(site: Site, inherited: Mapping[str, str]) -> list[ServiceSpec]:
    """PostgreSQL, Valkey and S3: independent of each other, so all start at once."""
    base = base_environment(inherited, site.layout)
    secret, ports, layout = site.secrets, site.ports, site.layout
    return [
        ServiceSpec(
            name="postgres",
            argv=postgres.server_arguments(site.postgres_bin, layout.postgres),
            environment=base,
            directory=layout.postgres,
            account=site.account,
            probe=PostgresProbe(ports["postgres"]),
            port=ports["postgres"],
            stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait for every client to leave
            stop_timeout_s=30,
            start_timeout_s=300,  # crash recovery replays the write-ahead log first
        ),
        ServiceSpec(
            name="valkey",
            argv=valkey.server_arguments(site.binaries.valkey_server, site.valkey_configuration),
            environment=base,
            directory=layout.valkey,
            probe=ValkeyProbe(ports["valkey"], secret.path("redis_password")),
            port=ports["valkey"],
            start_timeout_s=120,  # loads its append-only file first
        ),
        ServiceSpec(
            name="s3",
            argv=objects.server_arguments(site.binaries.weed, site.object_files),
            environment={**base, "HOME": str(layout.objects)},
            directory=layout.objects,
            probe=HttpProbe(ports["s3"], "/healthz"),
            port=ports["s3"],
            # Writes are in the page cache when acknowledged, so cutting a slow farewell short loses nothing.
            stop_timeout_s=5,
            start_timeout_s=60,
        ),
    ]


def program(options: Options, *arguments: str) -> list[str]:
    """One of our own programs with this very interpreter, whatever PATH says."""
    return [options.python, "-m", "remotegpu.cli.main", *arguments]


def step_program(site: Site, step: str) -> list[str]:
    return [
        site.options.python,
        "-m",
        "remotegpu.local.steps",
        step,
        str(site.layout.root),
        str(site.options.port),
    ]
