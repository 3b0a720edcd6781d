"""PostgreSQL, Valkey and S3 for tests: started once per test run, shared by its xdist workers.

A keeper process owns them, because they die with whoever started them and no single worker lives as long as the run.
Every user holds a shared lock on one file; when nobody does any more, the keeper stops everything and removes it.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from remotegpu.local import roles
from remotegpu.local.layout import Layout
from remotegpu.local.plan import Options, server_environment
from remotegpu.local.ports import remembered_ports
from remotegpu.local.postgres import APP_ROLE, OWNER_ROLE
from remotegpu.local.secret_files import Secrets
from remotegpu.local.services import Services, inline_secrets

START_TIMEOUT_S = 60.0
TEMPLATE = "remotegpu_template"


def run_directory() -> Path:
    """One directory per test run, the same in all its workers. Not under pytest's own, which is closed to others:
    as root, PostgreSQL runs as another account."""
    uid = os.environ.get("PYTEST_XDIST_TESTRUNUID") or os.environ.setdefault(
        "REMOTEGPU_TEST_RUN", secrets.token_hex(8)
    )
    return Path(tempfile.gettempdir()) / f"remotegpu-test-{uid}"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file lock; the kernel releases it however we die."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@dataclass
class Stack:
    """The running services, and fresh places in them."""

    directory: Path
    environment: dict[str, str]
    secrets: Secrets
    _databases: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.environment["DB_PORT"])

    def server_env(self, *, migrated: bool = True) -> dict[str, str]:
        """The server's variables for a database, Valkey database and bucket that nobody else uses.

        ``migrated=False`` gives an empty database.
        """
        number = self._next_number()
        database = f"test_{number}"
        self._create_database(database, self._template() if migrated else None)
        return {
            **self.environment,
            "DB_NAME": database,
            "REDIS_DB": str(number),
            "S3_BUCKET": f"test-{number}",
            "INSTANCE_NAME": f"test-{number}",
        }

    def _next_number(self) -> int:
        """Counts up over all workers of the run; starts at 1, since 0 is what forgetful code uses."""
        path = self.directory / "counter"
        with locked(self.directory / "counter.lock"):
            number = int(path.read_text(encoding="ascii")) + 1 if path.exists() else 1
            path.write_text(str(number), encoding="ascii")
        return number

    def _create_database(self, name: str, template: str | None) -> None:
        statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY {}").format(
            sql.Identifier(name),
            sql.Identifier(OWNER_ROLE),
            sql.Identifier(template or "template0"),
            sql.Identifier("file_copy"),
        )
        with roles.connect(self.port, self.secrets) as connection:
            connection.execute(statement)
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
            connection.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                    sql.Identifier(name), sql.Identifier(APP_ROLE)
                )
            )
        self._databases.append(name)

    def drop_databases(self) -> None:
        """Drop what this process made, connections and all."""
        with roles.connect(self.port, self.secrets) as connection:
            for name in self._databases:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        self._databases.clear()

    def release(self, env: dict[str, str]) -> None:
        """Drop one test's database."""
        name = env["DB_NAME"]
        with roles.connect(self.port, self.secrets) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )
        if name in self._databases:
            self._databases.remove(name)

    def _template(self) -> str:
        """The migrated database that others are copied from; made once per run."""
        done = self.directory / "template.done"
        with locked(self.directory / "template.lock"):
            if not done.exists():
                with roles.connect(self.port, self.secrets) as connection:
                    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(TEMPLATE)))
                roles.create(self.port, self.secrets, TEMPLATE)
                migrate({**self.environment, "DB_NAME": TEMPLATE})
                done.touch()
        return TEMPLATE

    def connect(self, env: dict[str, str]) -> psycopg.Connection:
        """The superuser in one test's database, for looking behind the server's back."""
        return roles.connect(self.port, self.secrets, env["DB_NAME"])


def migrate(env: dict[str, str]) -> None:
    """Run the product's own migrations in a process of their own, as an operator would."""
    command = [sys.executable, "-m", "remotegpu.cli.main", "server", "migrate"]
    done = subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"server migrate ended with code {done.returncode}:\n{done.stdout}\n{done.stderr}")


@contextlib.contextmanager
def running_stack() -> Iterator[Stack]:
    """Join the run's services, starting them when we are the first."""
    directory = run_directory()
    with _membership(directory):
        with locked(directory / "start"):
            if not (directory / "ready").exists():
                _start_keeper(directory)
        layout = Layout((directory / "services").resolve())
        stack = Stack(directory, _environment(layout), Secrets(layout.secrets))
        try:
            yield stack
        finally:
            stack.drop_databases()


@contextlib.contextmanager
def _membership(directory: Path) -> Iterator[None]:
    """Hold the users' lock. Begins anew when a keeper that saw nobody has removed the file while we waited for it."""
    users = directory / "users"
    while True:
        directory.mkdir(mode=0o711, exist_ok=True)
        directory.chmod(0o711)  # whatever the umask: as root, PostgreSQL's account passes through here
        descriptor = os.open(users, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if users.exists() and users.stat().st_ino == os.fstat(descriptor).st_ino:
            break
        os.close(descriptor)
    try:
        yield
    finally:
        os.close(descriptor)


def _environment(layout: Layout) -> dict[str, str]:
    """The server's variables as the platform's plan makes them, with the secrets in place."""
    variables = server_environment(Secrets(layout.secrets), remembered_ports(layout.ports), Options(port=0))
    return {name: value for name, value in inline_secrets(variables).items() if name not in _PER_SERVER}


_PER_SERVER = frozenset({"SERVER_PORT", "PUBLIC_URL"})
"""A test that starts a server sets these itself."""


def _start_keeper(directory: Path) -> None:
    with (directory / "keeper.log").open("ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, __file__, str(directory)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    while not (directory / "ready").exists():
        if keeper.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the services did not start:\n{(directory / 'keeper.log').read_text()}")
        time.sleep(0.02)


def keep(directory: Path) -> None:
    """The keeper's life: start, say so, wait until nobody uses the services any more, stop, remove."""
    with Services(directory / "services"):
        (directory / "ready").touch()
        descriptor = os.open(directory / "users", os.O_RDWR | os.O_CLOEXEC)
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.2)
        (directory / "ready").unlink()
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
