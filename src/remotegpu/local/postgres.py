"""PostgreSQL's files, arguments and SQL. Pure."""

from dataclasses import dataclass
from pathlib import Path

SUPERUSER = "postgres"
OWNER_ROLE = "remotegpu_owner"
APP_ROLE = "remotegpu_user"
DATABASE = "remotegpu"


@dataclass(frozen=True)
class PostgresOptions:
    """``durable`` is False only for throw-away test clusters."""

    port: int
    durable: bool = True
    max_connections: int = 100


def configuration(options: PostgresOptions) -> str:
    """The whole ``postgresql.conf``: small, durable, loopback TCP only, English UTC logs to stderr."""
    sync = "on" if options.durable else "off"
    lines = {
        "listen_addresses": "'127.0.0.1'",
        "port": str(options.port),
        # TCP with SCRAM is the only way in; a socket would add a path-length limit and a second door.
        "unix_socket_directories": "''",
        "password_encryption": "'scram-sha-256'",
        "max_connections": str(options.max_connections),
        "shared_buffers": "'64MB'",
        "effective_cache_size": "'512MB'",
        "maintenance_work_mem": "'32MB'",
        "min_wal_size": "'32MB'",
        "max_wal_size": "'512MB'",
        "fsync": sync,
        "synchronous_commit": sync,
        "full_page_writes": sync,
        "wal_level": "'replica'" if options.durable else "'minimal'",
        "max_wal_senders": "4" if options.durable else "0",
        "io_method": "'sync'",  # the default starts three worker processes: memory for nothing at this size
        "autovacuum_naptime": "'30s'",
        "log_timezone": "'UTC'",
        "timezone": "'UTC'",
        "lc_messages": "'C'",
        "log_line_prefix": "'%m [%p] %q%u@%d '",
        "log_min_messages": "'warning'",
        "log_checkpoints": "off",
        "logging_collector": "off",
    }
    return "".join(f"{key} = {value}\n" for key, value in lines.items())


def host_based_access() -> str:
    """``pg_hba.conf``: passwords (SCRAM) over loopback, nothing else."""
    return "host all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n"


def initdb_arguments(binaries: Path, target: Path, password_file: Path, *, durable: bool) -> list[str]:
    """Arguments of ``initdb``. The built-in C.UTF-8 collation does not depend on the host's installed locales."""
    arguments = [
        str(binaries / "initdb"),
        f"--pgdata={target}",
        f"--username={SUPERUSER}",
        "--auth=scram-sha-256",
        f"--pwfile={password_file}",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-instructions",
    ]
    return arguments if durable else [*arguments, "--no-sync"]


def server_arguments(binaries: Path, cluster: Path) -> list[str]:
    return [str(binaries / "postgres"), "-D", str(cluster)]
