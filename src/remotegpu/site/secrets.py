"""The secrets of a site: what each is for, who reads it, when it is due for a new one. Random, each in its own file.

The originals lie beside ``remotegpu.yaml`` in ``secrets/``, readable by the operator alone. Nothing secret is in the
configuration, in an environment default or in version control.
"""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from remotegpu.kit import files
from remotegpu.site.config.model import Service

DIRECTORY = "secrets"
ONLY_READ_BY_OWNER = 0o400
FIRST_ROLE = "remotegpu_app_a"
QUARTER_DAYS = 90
"""Section 7.7.2 of the deployment plan: each quarter."""
YEAR_DAYS = 365
"""What that section does not speak of, and what must be kept as long as what it encrypted."""
UNTIL = " until="
"""Ends the line of a value that is still accepted, up to the moment that follows."""

Kind = Literal["password", "access-key", "signing-key", "ssh-key", "role"]


@dataclass(frozen=True, kw_only=True)
class Secret:
    """``readers``: services that get it as it is. ``due_days``: after which it should be replaced; None: when needed.

    A file may hold several lines: the first is in use, the others are still accepted.
    """

    name: str
    kind: Kind
    readers: tuple[Service, ...] = ()
    due_days: int | None = QUARTER_DAYS
    en: str
    zh: str


APPLICATION: tuple[Service, ...] = ("backend", "worker")
PROGRAMS: tuple[Service, ...] = (*APPLICATION, "migrate")
"""What is made from the backend's image, and reads the same settings."""

CATALOGUE: tuple[Secret, ...] = (
    Secret(
        name="db_superuser_password",
        kind="password",
        readers=("postgresql",),
        en="PostgreSQL's superuser, who only signs in on the machine itself",
        zh="PostgreSQL 超级用户密码，仅限本机登录",
    ),
    Secret(
        name="db_owner_password",
        kind="password",
        readers=("migrate",),
        en="role that owns the tables; used by migrations only",
        zh="表所有者角色密码，仅用于迁移",
    ),
    Secret(
        name="db_user",
        kind="role",
        readers=PROGRAMS,
        due_days=None,
        en="which of the two application roles is in use",
        zh="当前使用的应用角色",
    ),
    Secret(name="db_password_a", kind="password", en="first application role", zh="应用角色 A 的密码"),
    Secret(name="db_password_b", kind="password", en="second application role", zh="应用角色 B 的密码"),
    Secret(
        name="redis_password",
        kind="password",
        en="Redis, for the application",
        zh="Redis 应用密码",
    ),
    Secret(
        name="redis_backup_password",
        kind="password",
        readers=("backup",),
        en="Redis, for backups",
        zh="Redis 备份密码",
    ),
    Secret(
        name="redis_operator_password",
        kind="password",
        readers=("redis",),
        en="Redis, for its health check and for changing passwords",
        zh="Redis 健康检查与更换密码所用的密码",
    ),
    Secret(
        name="s3_access_key",
        kind="access-key",
        readers=("rustfs", *PROGRAMS, "backup"),
        due_days=None,
        en="name of the object store's key",
        zh="对象存储访问密钥",
    ),
    Secret(
        name="s3_secret_key",
        kind="password",
        readers=("rustfs", *PROGRAMS, "backup"),
        due_days=None,
        en="the object store's key",
        zh="对象存储密钥",
    ),
    Secret(
        name="jwt_secret",
        kind="signing-key",
        readers=PROGRAMS,
        en="signs access tokens",
        zh="访问令牌签名密钥",
    ),
    Secret(
        name="ssh_ca_key",
        kind="ssh-key",
        readers=PROGRAMS,
        due_days=None,
        en="signs the certificates with which people reach machines",
        zh="签发用户访问机器所用证书的 CA 密钥",
    ),
    Secret(
        name="backup_cipher_key",
        kind="password",
        due_days=YEAR_DAYS,
        en="encrypts continuous backups; without it they are noise",
        zh="持续备份的加密密钥；丢失后备份无法读取",
    ),
)


def read(site: Path, name: str) -> list[str]:
    """The lines of a secret: the one in use first. Raises :class:`FileNotFoundError`."""
    text = (site / DIRECTORY / name).read_text(encoding="utf-8")
    return [text] if text.startswith("-----BEGIN") else text.split("\n")


def write(site: Path, name: str, lines: Sequence[str]) -> None:
    """Replace a secret. Durable when it returns."""
    files.write_private(site / DIRECTORY / name, "\n".join(lines), mode=ONLY_READ_BY_OWNER)


def forget(site: Path, name: str, lines: Sequence[str]) -> None:
    """Drop those of its lines that are not in use; the secret is as old as it was."""
    kept = [line for line in read(site, name) if line not in lines]
    written = (site / DIRECTORY / name).stat().st_mtime_ns
    write(site, name, kept)
    os.utime(site / DIRECTORY / name, ns=(written, written))


def ensure(site: Path, catalogue: Sequence[Secret] = CATALOGUE) -> list[str]:
    """Make what is missing in ``site/secrets``; what is there stays. Returns the names of the new ones."""
    directory = site / DIRECTORY
    files.make_directory(directory)
    missing = [secret for secret in catalogue if not (directory / secret.name).exists()]
    for secret in missing:
        files.write_private(directory / secret.name, new_value(secret.kind), mode=ONLY_READ_BY_OWNER)
    return [secret.name for secret in missing]


def new_value(kind: Kind) -> str:
    """A random one. Passwords have 256 bits and no character that a shell, a URL or an env file would change."""
    if kind == "ssh-key":
        from remotegpu.kit import private_keys  # noqa: PLC0415 - cryptography takes its time to load

        return private_keys.new_ssh_key()
    if kind == "role":
        return FIRST_ROLE
    if kind == "access-key":
        return secrets.token_hex(10).upper()
    return secrets.token_hex(32)
