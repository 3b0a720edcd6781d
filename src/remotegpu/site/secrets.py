"""The secrets of a site: what each is for, who reads it, when it is due for a new one. Random, each in its own file.

The originals lie beside ``remotegpu.yaml`` in ``secrets/``, readable by the operator alone. Nothing secret is in the
configuration, in an environment default or in version control.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from remotegpu.kit import files
from remotegpu.site.config.model import Service

DIRECTORY = "secrets"
ONLY_READ_BY_OWNER = 0o400
QUARTER_DAYS = 90
"""Section 7.7.2 of the deployment plan: each quarter."""

Kind = Literal["password", "access-key", "signing-key", "ssh-key"]


@dataclass(frozen=True, kw_only=True)
class Secret:
    """``readers``: services that get it. ``due_days``: after which it should be replaced; None: when there is need."""

    name: str
    kind: Kind
    readers: tuple[Service, ...]
    due_days: int | None
    en: str
    zh: str


CATALOGUE: tuple[Secret, ...] = (
    Secret(
        name="db_superuser_password",
        kind="password",
        readers=("postgresql",),
        due_days=QUARTER_DAYS,
        en="PostgreSQL's superuser",
        zh="PostgreSQL 超级用户密码",
    ),
    Secret(
        name="db_owner_password",
        kind="password",
        readers=("backend",),
        due_days=QUARTER_DAYS,
        en="role that owns the tables; used by migrations only",
        zh="表所有者角色密码，仅用于迁移",
    ),
    Secret(
        name="db_password",
        kind="password",
        readers=("backend", "worker"),
        due_days=QUARTER_DAYS,
        en="role of the application",
        zh="应用角色密码",
    ),
    Secret(
        name="redis_password",
        kind="password",
        readers=("redis", "backend", "worker"),
        due_days=QUARTER_DAYS,
        en="Redis",
        zh="Redis 密码",
    ),
    Secret(
        name="s3_access_key",
        kind="access-key",
        readers=("rustfs", "backend", "worker"),
        due_days=QUARTER_DAYS,
        en="name of the object store's key",
        zh="对象存储访问密钥",
    ),
    Secret(
        name="s3_secret_key",
        kind="password",
        readers=("rustfs", "backend", "worker"),
        due_days=QUARTER_DAYS,
        en="the object store's key",
        zh="对象存储密钥",
    ),
    Secret(
        name="jwt_secret",
        kind="signing-key",
        readers=("backend", "worker"),
        due_days=QUARTER_DAYS,
        en="signs access tokens",
        zh="访问令牌签名密钥",
    ),
    Secret(
        name="ssh_ca_key",
        kind="ssh-key",
        readers=("backend", "worker"),
        due_days=None,
        en="signs the certificates with which people reach machines",
        zh="签发用户访问机器所用证书的 CA 密钥",
    ),
)


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
    if kind == "access-key":
        return secrets.token_hex(10).upper()
    return secrets.token_hex(32)
