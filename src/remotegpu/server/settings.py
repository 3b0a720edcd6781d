"""Settings of server and worker, from the environment (names of the deployment plan, section 2.6).

Every secret can also come from a file named by ``NAME_FILE``. There are no default secrets.
"""

import ipaddress
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from remotegpu.kit.durations import parse_duration
from remotegpu.kit.environment import Environment, parse_port
from remotegpu.protocol.sync import SYNC_WAIT_S

LOG_LEVELS = ("debug", "info", "warning", "error")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
JWT_KEY_MIN_CHARACTERS = 32
"""256 bits of key for HMAC-SHA-256 (RFC 7518 §3.2), when written as at least 32 characters."""


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """``app_group``: the role that is granted what the application needs; ``user`` is it or a member of it."""

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)
    sslmode: str
    owner_user: str
    owner_password: str = field(repr=False)
    app_group: str


@dataclass(frozen=True, kw_only=True)
class RedisSettings:
    """``tls``: the server's certificate and name are checked, against ``ca_file`` or else the system's authorities."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: int
    tls: bool
    ca_file: str


@dataclass(frozen=True, kw_only=True)
class ObjectSettings:
    endpoint: str
    bucket: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    public_endpoint: str


@dataclass(frozen=True, kw_only=True)
class AgentSettings:
    """``lease_seconds``: an attempt nobody reports for so long is lost. ``sync_wait_seconds``: longest poll.

    ``dial_seconds``: how long an agent may take to dial a stream it was asked for.
    """

    lease_seconds: int
    unreachable_after_seconds: int
    sync_wait_seconds: int
    dial_seconds: int


@dataclass(frozen=True, kw_only=True)
class Settings:
    """``jwt_keys``: the first signs, all verify, those with `` until=TIME`` behind them until then.

    ``ssh_ca_key``: OpenSSH private key text of the user CA.

    ``metrics_port``: where the worker shows its metrics, on ``host``; 0: nowhere.

    ``trusted_proxies``: addresses or networks, separated by commas, whose ``X-Forwarded-For`` is believed.
    """

    database: DatabaseSettings
    redis: RedisSettings
    objects: ObjectSettings
    jwt_keys: tuple[str, ...] = field(repr=False)
    access_token_seconds: int
    refresh_token_seconds: int
    ssh_ca_key: str = field(repr=False)
    host: str
    port: int
    metrics_port: int
    public_url: str
    trusted_proxies: str
    log_level: str
    instance: str
    agents: AgentSettings


def load(variables: Mapping[str, str] | None = None) -> Settings:
    """Read and validate everything. Raises :class:`~remotegpu.kit.environment.SettingsError` with all problems."""
    env = Environment(os.environ if variables is None else variables)
    port = env.parsed("SERVER_PORT", "8080", parse_port, 8080)
    settings = Settings(
        database=load_database(env),
        redis=_redis(env),
        objects=_objects(env),
        jwt_keys=_jwt_keys(env),
        access_token_seconds=env.parsed("JWT_ACCESS_EXPIRE", "15m", _lifetime, 900),
        refresh_token_seconds=env.parsed("JWT_REFRESH_EXPIRE", "7d", _lifetime, 604_800),
        ssh_ca_key=_ssh_ca_key(env),
        host=env.text("SERVER_HOST", "127.0.0.1"),
        port=port,
        metrics_port=env.parsed("METRICS_PORT", "0", _port_or_none, 0),
        public_url=env.parsed("PUBLIC_URL", f"http://127.0.0.1:{port}", _url, "").rstrip("/"),
        trusted_proxies=env.parsed("TRUSTED_PROXIES", "", _networks, ""),
        log_level=env.parsed("LOG_LEVEL", "info", _one_of(LOG_LEVELS), "info"),
        instance=env.text("INSTANCE_NAME", f"server-{secrets.token_hex(4)}"),
        agents=_agents(env),
    )
    env.finish()
    return settings


def load_database(env: Environment, *, migrating: bool = False) -> DatabaseSettings:
    """The database part alone. The owner role falls back to the application role.

    ``migrating``: only the owner signs in, so its password is needed and the application's is not.
    """
    user = env.text_or_file("DB_USER", "remotegpu_user")
    owner = env.text("DB_OWNER_USER", user)
    password = env.secret("DB_PASSWORD", required=not migrating or owner == user)
    return DatabaseSettings(
        host=env.text("DB_HOST"),
        port=env.parsed("DB_PORT", "5432", parse_port, 5432),
        name=env.text("DB_NAME", "remotegpu"),
        user=user,
        password=password,
        sslmode=env.parsed("DB_SSLMODE", "verify-full", _one_of(SSL_MODES), "verify-full"),
        owner_user=owner,
        owner_password=password if owner == user else env.secret("DB_OWNER_PASSWORD", required=migrating),
        app_group=env.text("DB_APP_GROUP", user),
    )


def _redis(env: Environment) -> RedisSettings:
    address = env.text("REDIS_ADDR")
    host, _, port = address.rpartition(":")
    if address and (not host or not port.isdecimal()):
        env.problems.append(f"REDIS_ADDR: found {address!r}, expected HOST:PORT")
    return RedisSettings(
        host=host,
        port=int(port) if port.isdecimal() else 6379,
        user=env.text("REDIS_USER", "default"),
        password=env.secret("REDIS_PASSWORD"),
        database=env.parsed("REDIS_DB", "0", int, 0),
        tls=env.parsed("REDIS_TLS", "false", _one_of(("true", "false")), "false") == "true",
        ca_file=env.parsed("REDIS_CA_FILE", "", _readable_file, ""),
    )


def _objects(env: Environment) -> ObjectSettings:
    endpoint = env.text("S3_ENDPOINT").rstrip("/")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        env.problems.append(f"S3_ENDPOINT: found {endpoint!r}, expected http://HOST:PORT or https://HOST")
    return ObjectSettings(
        endpoint=endpoint,
        bucket=env.text("S3_BUCKET", "remotegpu"),
        region=env.text("S3_REGION", "us-east-1"),
        access_key=env.secret("S3_ACCESS_KEY"),
        secret_key=env.secret("S3_SECRET_KEY"),
        public_endpoint=env.text("S3_PUBLIC_ENDPOINT", endpoint or "unset").rstrip("/"),
    )


def _agents(env: Environment) -> AgentSettings:
    """A poll ends well before its silence would count as the loss of an attempt or of the machine."""
    lease = env.parsed("AGENT_LEASE_SECONDS", "300", parse_duration, 300)
    unreachable = env.parsed("AGENT_UNREACHABLE_AFTER", f"{min(75, lease)}s", parse_duration, 75)
    longest = min(int(SYNC_WAIT_S), lease // 3, unreachable // 3)
    agents = AgentSettings(
        lease_seconds=lease,
        unreachable_after_seconds=unreachable,
        sync_wait_seconds=env.parsed("AGENT_SYNC_WAIT", f"{max(1, longest)}s", parse_duration, 25),
        dial_seconds=env.parsed("AGENT_DIAL_TIMEOUT", "12s", parse_duration, 12),
    )
    for key, seconds in (("AGENT_LEASE_SECONDS", lease), ("AGENT_UNREACHABLE_AFTER", unreachable)):
        if seconds < 3:
            env.problems.append(f"{key}: found {seconds} s, expected at least 3 s")
    if unreachable > lease:
        env.problems.append(
            f"AGENT_UNREACHABLE_AFTER: found {unreachable} s, expected at most AGENT_LEASE_SECONDS ({lease} s): what"
            " a silent machine lost must not start on it again"
        )
    if not 1 <= agents.sync_wait_seconds <= max(1, longest):
        env.problems.append(
            f"AGENT_SYNC_WAIT: found {agents.sync_wait_seconds} s, expected 1 to {longest} s: at most "
            f"{SYNC_WAIT_S:g} s, and a third of AGENT_LEASE_SECONDS and of AGENT_UNREACHABLE_AFTER"
        )
    return agents


def _jwt_keys(env: Environment) -> tuple[str, ...]:
    """Keys as they stand in the ring; what follows a key on its line, ``until=TIME``, says how long it is believed."""
    lines = [line.strip() for line in env.secret("JWT_SECRET").replace(",", "\n").split("\n") if line.strip()]
    for number, line in enumerate(lines, start=1):
        key, _, until = line.partition(" until=")
        if len(key) < JWT_KEY_MIN_CHARACTERS:
            env.problems.append(
                f"JWT_SECRET: key {number} has {len(key)} characters, expected at least {JWT_KEY_MIN_CHARACTERS}"
            )
        if until and not _is_time(until):
            env.problems.append(
                f"JWT_SECRET: key {number} ends with until={until}, expected a time with its zone such as "
                "2026-01-31T12:00:00+00:00"
            )
    return tuple(lines)


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _ssh_ca_key(env: Environment) -> str:
    """The key's text, once it was read as a key: better refused now than at the first terminal."""
    key = env.secret("SSH_CA_KEY")
    if not key:
        return key
    try:
        load_ssh_private_key(key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        env.problems.append(
            "SSH_CA_KEY: found something else, expected an OpenSSH private key without passphrase"
        )
    return key


def _lifetime(text: str) -> int:
    seconds = parse_duration(text)
    if seconds < 1:
        raise ValueError(f"found {text!r}, expected at least one second")
    return seconds


def _readable_file(text: str) -> str:
    """A path, or nothing."""
    if text:
        try:
            Path(text).read_bytes()
        except OSError as error:
            raise ValueError(f"cannot read {text}: {error.strerror}") from error
    return text


def _port_or_none(text: str) -> int:
    return 0 if text == "0" else parse_port(text)


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError(f"found {text!r}, expected http://HOST:PORT or https://HOST")
    return text


def _networks(text: str) -> str:
    """Addresses and networks, separated by commas. Anybody else could otherwise choose the address that is recorded."""
    for entry in filter(None, (part.strip() for part in text.split(","))):
        try:
            ipaddress.ip_network(entry)
        except ValueError as error:
            raise ValueError(f"found {entry!r}, expected an address or network such as 10.0.0.0/8") from error
    return text


def _one_of(allowed: tuple[str, ...]):
    def parse(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError(f"found {text!r}, expected one of {', '.join(allowed)}")
        return text.lower()

    return parse
