"""A PostgreSQL to try things in: files of its own, a private socket, no network, nothing shared with the live one."""

import os
import shutil
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from remotegpu.kit import files
from remotegpu.site.backups import postgres, programs
from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.settings import Settings
from remotegpu.site.runner import Command, CommandError, attempt, run

CONFIGURATION = """\
listen_addresses = ''
unix_socket_directories = '{socket}'
unix_socket_permissions = 0700
hba_file = '{folder}/pg_hba.conf'
ident_file = '{folder}/pg_ident.conf'
external_pid_file = ''
shared_preload_libraries = ''
dynamic_shared_memory_type = mmap
ssl = off
logging_collector = off
log_destination = stderr
log_timezone = 'UTC'
# nobody but us is here, and nothing of it is kept
hot_standby = off
max_connections = 20
max_prepared_transactions = 20
max_locks_per_transaction = 512
archive_mode = off
wal_level = minimal
max_wal_senders = 0
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
max_wal_size = 4GB
maintenance_work_mem = 256MB
"""
ALLOWED = "local all all trust\n"
"""Whoever passes the socket's folder, which is this account's alone."""
NOTHING: Mapping[str, str] = {}
POLL_S = 0.05
LOG_LINES = 15


@dataclass(frozen=True)
class Scratch:
    """A cluster below ``folder``."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def socket(self) -> Path:
        return self.folder / "socket"

    @property
    def log(self) -> Path:
        return self.folder / "postgresql.log"

    @property
    def configuration(self) -> Path:
        return self.folder / "postgresql.conf"


@contextmanager
def space(settings: Settings, name: str) -> Generator[Scratch]:
    """An empty place for a cluster; at the end it is stopped and gone. What a crash left goes first."""
    clear(settings)
    scratch = Scratch(settings.scratch_dir / name)
    for folder in (scratch.folder, scratch.socket):
        files.make_directory(folder)
    scratch.configuration.write_text(CONFIGURATION.format(folder=scratch.folder, socket=scratch.socket))
    (scratch.folder / "pg_hba.conf").write_text(ALLOWED)
    (scratch.folder / "pg_ident.conf").touch()
    try:
        yield scratch
    except CommandError as error:
        raise BackupError(f"in the scratch space: {error}") from error
    finally:
        remove(scratch)


def clear(settings: Settings) -> None:
    """Stop and remove every scratch cluster there is. The caller holds the lock."""
    for folder in settings.scratch_dir.iterdir():
        if folder.is_dir() and (folder / "postgresql.conf").exists():
            remove(Scratch(folder))


def remove(scratch: Scratch) -> None:
    stop(scratch)
    shutil.rmtree(scratch.folder, ignore_errors=True)


def initialise(scratch: Scratch, version: str, superuser: str) -> None:
    """An empty cluster. ``superuser``: as in the live one, for what belongs to it."""
    initdb = programs.postgresql("initdb", version)
    options = ("--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C", "--auth=trust")
    run(Command(argv=(initdb, f"--pgdata={scratch.data}", f"--username={superuser}", *options)))


def start(scratch: Scratch, version: str, variables: Mapping[str, str] = NOTHING) -> None:
    """Return when it takes connections: after recovery, where there is something to recover.

    ``variables``: for the programs that it starts.
    Raises :class:`BackupError` with the end of its log when it gives up.
    """
    pg_ctl = programs.postgresql("pg_ctl", version)
    options = f"--config-file={scratch.configuration}"
    argv = (
        pg_ctl,
        "start",
        "-w",
        "-t",
        "86400",
        "-D",
        str(scratch.data),
        "-l",
        str(scratch.log),
        "-o",
        options,
    )
    # archive-get says which segment it did not find only at this level
    environment = {"PGBACKREST_LOG_LEVEL_CONSOLE": "info", "PGPORT": "5432", **variables}
    try:
        run(Command(argv=argv, env=environment, timeout_s=programs.DAY_S))
    except CommandError:
        raise BackupError(f"the scratch PostgreSQL did not start:\n{said(scratch)}") from None
    while not _answers(scratch):
        if pid(scratch) is None:
            raise BackupError(f"the scratch PostgreSQL gave up:\n{said(scratch)}")
        time.sleep(POLL_S)


def _answers(scratch: Scratch) -> bool:
    try:
        with postgres.connection(scratch.socket, postgres.MAINTENANCE):
            return True
    except BackupError:
        return False


def said(scratch: Scratch) -> str:
    """The end of its log."""
    if not scratch.log.exists():
        return ""
    lines = scratch.log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-LOG_LINES:])


def stop(scratch: Scratch) -> None:
    """At once: nothing of it is kept."""
    process = pid(scratch)
    if process is None:
        return
    version = (scratch.data / "PG_VERSION").read_text().strip()
    pg_ctl = programs.postgresql("pg_ctl", version)
    attempt(Command(argv=(pg_ctl, "stop", "-w", "-m", "immediate", "-D", str(scratch.data)), timeout_s=60))


def pid(scratch: Scratch) -> int | None:
    """Its process. The number in a file that a crash left may be somebody else's by now: the command line decides."""
    try:
        number = int((scratch.data / "postmaster.pid").read_text().split()[0])
        command_line = Path(f"/proc/{number}/cmdline").read_bytes()
    except (OSError, ValueError, IndexError):
        return None
    return number if os.fsencode(scratch.data) in command_line else None
