"""Valkey's configuration. Pure."""

from pathlib import Path


def configuration(
    *, port: int, directory: Path, password: str, durable: bool = True, databases: int = 16
) -> str:
    """The whole ``valkey.conf``: loopback, password, append-only file synced every second, no eviction.

    The password stands in this 0600 file and not in the argument list, which every local user can read.
    """
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        "protected-mode yes",
        f"requirepass {password}",
        f"dir {quoted(directory)}",
        f"databases {databases}",
        f"appendonly {'yes' if durable else 'no'}",
        "appendfsync everysec",
        "aof-load-truncated yes",  # a kill -9 in mid-write costs the last record, not the start
        'save ""',
        "maxmemory-policy noeviction",
        "daemonize no",
        "loglevel notice",
        'logfile ""',
        "always-show-logo no",
        "set-proc-title no",
    ]
    return "\n".join(lines) + "\n"


def quoted(path: Path) -> str:
    """A path as a Valkey configuration string (double quotes, C escapes)."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def server_arguments(binary: Path, configuration_file: Path) -> list[str]:
    return [str(binary), str(configuration_file)]
