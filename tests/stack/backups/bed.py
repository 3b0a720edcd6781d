"""A small site for the backup tests: PostgreSQL with WAL archiving, Redis, an S3 server, the ``backup`` container."""

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from remotegpu.site import backup_keys
from remotegpu.site.backups.buckets import S3Bucket
from remotegpu.site.backups.settings import BucketSettings

REDIS = "redis:8.4.6"
RUSTFS = "rustfs/rustfs:1.0.0-rc.3"

FIRST_KEY = "the-key-of-the-repository"
PGBACKREST_CONF = """\
[global]
repo1-path=/backups/pgbackrest
repo1-cipher-type=aes-256-cbc
repo1-bundle=y
compress-type=zst
log-level-file=off
log-level-console=warn
lock-path=/tmp/pgbackrest
archive-timeout=30

[remotegpu]
pg1-path=/var/lib/postgresql/data
pg1-socket-path=/var/run/postgresql
pg1-user=postgres
"""
CLUSTER = (
    "--data-checksums --auth-host=scram-sha-256 "
    "--locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C.UTF-8"
)
"""As a site makes its own."""
POSTGRESQL_SETTINGS = {
    "archive_mode": "on",
    "archive_command": "pgbackrest --stanza=remotegpu archive-push %p",
    "archive_timeout": "60",
    "track_commit_timestamp": "on",
    "wal_level": "replica",
}
REDIS_ACCOUNTS = """\
user default off
user backup on >redis-password +ping +info +bgsave
"""
WEED = ("weed", "shell", "-master=localhost:9333")
ROLES = """
CREATE ROLE remotegpu_owner LOGIN PASSWORD 'owner-password';
CREATE ROLE remotegpu_app NOLOGIN;
CREATE ROLE remotegpu_app_a LOGIN PASSWORD 'app-password' IN ROLE remotegpu_app;
CREATE DATABASE remotegpu OWNER remotegpu_owner;
REVOKE ALL ON DATABASE remotegpu FROM PUBLIC;
GRANT CONNECT ON DATABASE remotegpu TO remotegpu_app;
ALTER DATABASE remotegpu SET statement_timeout = '5min';
ALTER ROLE remotegpu_app_a IN DATABASE remotegpu SET search_path = public, pg_catalog;
"""


class UnexpectedError(AssertionError):
    """A command in a container ended otherwise than expected."""


@dataclass
class Bed:
    """``root``: the site's folder on this computer. ``postgresql``: the image that also makes the backups."""

    root: Path
    postgresql: str
    name: str = field(default_factory=lambda: f"rgpu-backups-{secrets.token_hex(3)}")
    containers: list[str] = field(default_factory=list[str])

    def start(self, *, objects: bool = True) -> None:
        self._files()
        docker("network", "create", self.name)
        self._start_postgresql()
        redis = ["redis-server", "--appendonly", "yes", "--aclfile", "/etc/redis/users.acl"]
        self._run("redis", REDIS, *redis, mounts={"redis": "/data", "redis-acl": "/etc/redis"})
        if objects:
            keys = {"RUSTFS_ACCESS_KEY": "BACKUPTESTS", "RUSTFS_SECRET_KEY": "secret-of-the-store"}
            self._run("rustfs", RUSTFS, user="10001:10001", env=keys, mounts={"rustfs": "/data"})
        self.start_backup()
        self.until_ready()
        if objects:
            self.until(
                lambda: "health" in self.attempt("rustfs", *WEED, stdin="s3.bucket.list\n").stdout, "bucket"
            )
            for bucket in ("remotegpu", "elsewhere"):
                self.sh("rustfs", *WEED, stdin=f"s3.bucket.create -name {bucket}\n")
        self.psql("postgres", ROLES)

    def _start_postgresql(self) -> None:
        settings = [part for name, value in POSTGRESQL_SETTINGS.items() for part in ("-c", f"{name}={value}")]
        made = f'test -s $PGDATA/PG_VERSION || initdb --username=postgres {CLUSTER}; exec postgres "$@"'
        self._run("postgresql", self.postgresql, "bash", "-c", made, "postgres", *settings)

    def replace_cluster(self) -> None:
        """The disk with the database dies; a new, empty cluster takes its place, with the site's roles."""
        docker("rm", "--force", "--volumes", f"{self.name}-postgresql", f"{self.name}-backup")
        for path in (self.root / "data").iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self._start_postgresql()
        self.start_backup()
        self.until_ready()
        self.psql("postgres", ROLES)

    def start_backup(self, *command: str, env: Mapping[str, str] | None = None, scratch: str = "") -> str:
        """The ``backup`` container; ``command``: what runs in it. ``scratch``: options of a tmpfs in its place."""
        given = {**self.environment, **(env or {})}
        return self._run(
            "backup", self.postgresql, *(command or ("sleep", "infinity")), env=given, scratch=scratch
        )

    @property
    def environment(self) -> dict[str, str]:
        """Of the ``backup`` container."""
        return {
            "SITE_NAME": "acme",
            "REMOTEGPU_RELEASE": "v1.0.0",
            "DB_NAME": "remotegpu",
            "REDIS_ADDR": "redis:6379",
            "REDIS_USER": "backup",
            "REDIS_PASSWORD_FILE": "/run/secrets/redis_password",
            "S3_ENDPOINT": "http://rustfs:9000",
            "S3_BUCKET": "remotegpu",
            "S3_ACCESS_KEY_FILE": "/run/secrets/s3_access_key",
            "S3_SECRET_KEY_FILE": "/run/secrets/s3_secret_key",
        }

    def _files(self) -> None:
        for folder in (
            "data",
            "socket",
            "redis",
            "rustfs",
            "backups",
            "elsewhere",
            "scratch",
            "secrets",
            "redis-acl",
            "etc",
        ):
            path = self.root / folder
            path.mkdir(parents=True)
            owner = 10001 if folder == "rustfs" else 999
            os.chown(path, owner, owner)
            path.chmod(0o700 if folder != "etc" else 0o755)
        (self.root / "etc/pgbackrest.conf").write_text(PGBACKREST_CONF)
        self.secret("redis-acl/users.acl", REDIS_ACCOUNTS)
        self.keys(FIRST_KEY)
        self.secret("secrets/redis_password", "redis-password\n")
        self.secret("secrets/s3_access_key", "BACKUPTESTS\n")
        self.secret("secrets/s3_secret_key", "secret-of-the-store\n")

    def keys(self, *lines: str) -> None:
        """Lines of the secret ``backup_cipher_key``, and what pgBackRest reads of them, as the product writes it."""
        wanted = backup_keys.configurations(backup_keys.ring(lines), "remotegpu", None)
        for path, content in wanted.items():
            self.secret(f"secrets/{path}", content)

    def second_repository(self) -> None:
        """From here on pgBackRest has one off the node too. In a folder: what it does is the same as in a bucket."""
        path = self.root / "etc/pgbackrest.conf"
        lines = "repo2-path=/elsewhere\nrepo2-cipher-type=aes-256-cbc\nrepo2-bundle=y\n"
        path.write_text(PGBACKREST_CONF.replace("compress-type", f"{lines}compress-type"))
        for name in ("pgbackrest.conf", "restore/pgbackrest.conf"):
            keys = (self.root / "secrets" / name).read_text().rstrip()
            self.secret(f"secrets/{name}", f"{keys}\nrepo2-cipher-pass={FIRST_KEY}\n")

    def secret(self, path: str, content: str) -> None:
        """A file that only the containers' account may read. The old content is there until the new one is whole."""
        file = self.root / path
        file.parent.mkdir(exist_ok=True)
        os.chown(file.parent, 999, 999)
        new = file.with_name(f".{file.name}.new")
        new.write_text(content)
        os.chown(new, 999, 999)
        new.chmod(0o400)
        new.replace(file)

    def _run(
        self,
        service: str,
        image: str,
        *command: str,
        user: str = "999:999",
        env: Mapping[str, str] | None = None,
        mounts: Mapping[str, str] | None = None,
        scratch: str = "",
    ) -> str:
        name = f"{self.name}-{service}"
        arguments = [
            "run",
            "--detach",
            "--init",
            "--stop-signal=SIGTERM",
            "--name",
            name,
            "--network",
            self.name,
            "--network-alias",
            service,
        ]
        arguments += ["--user", user, "--read-only", "--tmpfs", "/tmp:mode=1777", "--cap-drop", "ALL"]
        for key, value in {**(env or {}), "PGBACKREST_CONFIG_INCLUDE_PATH": "/run/secrets"}.items():
            arguments += ["--env", f"{key}={value}"]
        arguments += self._mounts(service, mounts or {}, scratch)
        docker("rm", "--force", "--volumes", name)
        docker(*arguments, image, *command)
        self.containers.append(name)
        return name

    def _mounts(self, service: str, mounts: Mapping[str, str], scratch: str) -> list[str]:
        wanted = [f"{self.root / folder}:{target}" for folder, target in mounts.items()]
        if service in {"postgresql", "backup"}:
            mode = ":ro" if service == "backup" else ""
            wanted += [
                f"{self.root}/data:/var/lib/postgresql/data{mode}",
                f"{self.root}/socket:/var/run/postgresql",
                f"{self.root}/etc/pgbackrest.conf:/etc/pgbackrest/pgbackrest.conf:ro",
                f"{self.root}/secrets:/run/secrets:ro",
                f"{self.root}/backups:/backups",
                f"{self.root}/elsewhere:/elsewhere",
            ]
        arguments = [part for mount in wanted for part in ("--volume", mount)]
        if service == "backup":
            arguments += ["--volume", f"{self.root}/redis:/redis-data:ro"]
            arguments += (
                ["--tmpfs", f"/scratch:{scratch}"]
                if scratch
                else ["--volume", f"{self.root}/scratch:/scratch"]
            )
        return arguments

    def until_ready(self) -> None:
        """PostgreSQL takes connections."""
        self.until(lambda: self.attempt("postgresql", "pg_isready", "--quiet").returncode == 0, "PostgreSQL")

    def until(self, happened: Callable[[], bool], what: str, timeout_s: float = 60) -> None:
        deadline = time.monotonic() + timeout_s
        while not happened():
            if time.monotonic() > deadline:
                raise UnexpectedError(f"{what} did not happen within {timeout_s} s")
            time.sleep(0.1)

    def attempt(self, service: str, *argv: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        given = ["docker", "exec", "--interactive", f"{self.name}-{service}", *argv]
        return subprocess.run(given, check=False, text=True, capture_output=True, input=stdin)

    def sh(self, service: str, *argv: str, stdin: str | None = None) -> str:
        done = self.attempt(service, *argv, stdin=stdin)
        if done.returncode != 0:
            raise UnexpectedError(f"{argv} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def psql(self, database: str, sql: str) -> str:
        """Unaligned, tuples only."""
        return self.sh(
            "postgresql", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-", stdin=sql
        ).strip()

    def backups(self, *arguments: str, status: int = 0) -> Any:  # Any: each command has its own JSON
        """``remotegpu backups … --json`` in the ``backup`` container."""
        done = self.attempt("backup", "remotegpu", "backups", *arguments, "--json")
        if done.returncode != status:
            raise UnexpectedError(f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return json.loads(done.stdout)

    def moment(self) -> str:
        """Now, on the database's clock."""
        epoch = float(self.psql("postgres", "SELECT extract(epoch FROM clock_timestamp())"))
        return datetime.fromtimestamp(epoch, UTC).isoformat()

    def until_later_than(self, finished: str) -> None:
        """pgBackRest counts whole seconds: a moment in the second in which a base backup ended is before it."""
        later = datetime.fromisoformat(finished) + timedelta(seconds=1)
        self.until(lambda: datetime.fromisoformat(self.moment()) > later, "the next second")

    def address(self, service: str) -> str:
        """Where this computer reaches it."""
        shown = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return docker("inspect", f"--format={shown}", f"{self.name}-{service}").strip()

    def bucket(self, name: str) -> S3Bucket:
        """Of the object store, from here."""
        endpoint = f"http://{self.address('rustfs')}:9000"
        return S3Bucket(
            BucketSettings(
                endpoint=endpoint,
                bucket=name,
                region="us-east-1",
                access_key="BACKUPTESTS",
                secret_key="secret-of-the-store",
            )
        )

    def stop(self) -> None:
        for name in self.containers:
            docker("rm", "--force", "--volumes", name)
        docker("network", "rm", self.name)


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], check=False, text=True, capture_output=True)
    if done.returncode != 0 and arguments[0] != "rm":
        raise UnexpectedError(f"docker {arguments} ended with {done.returncode}: {done.stderr}")
    return done.stdout + done.stderr
