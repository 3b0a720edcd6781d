"""Settings of the ``backup`` container, from the environment, validated whole. Secrets come from files."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, time, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from remotegpu.kit.channels.models import Channel
from remotegpu.kit.environment import Environment, parse_port
from remotegpu.site.backups.notices import WORDS, Language

NAME = re.compile(r"[a-z_][a-z0-9_]{0,39}")
"""What a database may be called: short enough that names made out of it fit into PostgreSQL's 63 bytes."""


@dataclass(frozen=True, kw_only=True)
class RedisSettings:
    """``data_dir``: its volume, mounted read-only here."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    data_dir: Path


@dataclass(frozen=True, kw_only=True)
class BucketSettings:
    endpoint: str
    bucket: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class OffsiteSettings:
    """``recipient``: the public age key that what leaves the site is encrypted for. The private one stays elsewhere."""

    bucket: BucketSettings
    recipient: str


@dataclass(frozen=True, kw_only=True)
class AlertSettings:
    """Whom to tell of failures, in which language. ``link``: the site's address. Secrets stay in their files."""

    channels: tuple[Channel, ...]
    language: Language
    link: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """``socket_dir``: where the live PostgreSQL listens. ``data_dir``: its files, read-only here.

    ``keep_days``: how long dumps and deleted objects stay. ``wal_days``: how far back any moment can be restored.
    ``keys_dir``: what pgBackRest reads of keys is in it: ``*.conf`` for writing, ``restore/*.conf`` for reading.
    ``release``: what is deployed, for the manifests. ``redis``, ``objects``, ``offsite``: None where a site has none.
    """

    site: str
    release: str
    backup_dir: Path
    scratch_dir: Path
    database: str
    socket_dir: str
    data_dir: Path
    daily_at: time
    objects_at: time
    drill_at: time
    zone: tzinfo
    keep_days: int
    wal_days: int
    stanza: str
    keys_dir: Path
    redis: RedisSettings | None
    objects: BucketSettings | None
    offsite: OffsiteSettings | None
    alerts: AlertSettings
    metrics_port: int


def load(variables: Mapping[str, str] | None = None) -> Settings:
    """Read and check everything. Raises :class:`~remotegpu.kit.environment.SettingsError` with all problems."""
    env = Environment(os.environ if variables is None else variables)
    settings = Settings(
        site=env.text("SITE_NAME", "remotegpu"),
        release=env.text("REMOTEGPU_RELEASE", ""),
        backup_dir=Path(env.text("BACKUP_DIR", "/backups")),
        scratch_dir=Path(env.text("SCRATCH_DIR", "/scratch")),
        database=env.parsed("DB_NAME", "remotegpu", database_name, "remotegpu"),
        socket_dir=env.text("PGHOST", "/var/run/postgresql"),
        data_dir=Path(env.text("PGDATA", "/var/lib/postgresql/data")),
        daily_at=env.parsed("BACKUP_DAILY_AT", "02:00", time_of_day, time(2)),
        objects_at=env.parsed("BACKUP_OBJECTS_AT", "03:00", time_of_day, time(3)),
        drill_at=env.parsed("BACKUP_DRILL_AT", "04:00", time_of_day, time(4)),
        zone=env.parsed("TZ", "UTC", time_zone, UTC),
        keep_days=env.parsed("BACKUP_KEEP_DAYS", "30", days, 30),
        wal_days=env.parsed("BACKUP_WAL_DAYS", "7", days, 7),
        stanza=env.text("PGBACKREST_STANZA", "remotegpu"),
        keys_dir=Path(env.text("REPOSITORY_KEYS_DIR", "/run/secrets")),
        redis=_redis(env),
        objects=_bucket(env, "S3_"),
        offsite=_offsite(env),
        alerts=_alerts(env),
        metrics_port=env.parsed("METRICS_PORT", "9108", parse_port, 9108),
    )
    env.finish()
    return settings


def database_name(text: str) -> str:
    """``text`` when a database may be called so. Raises ``ValueError``."""
    if not NAME.fullmatch(text):
        raise ValueError(f"found {text!r}, expected at most 40 of a-z, 0-9 and _, no digit first")
    return text


def time_of_day(text: str) -> time:
    """Hours and minutes. Raises ``ValueError``."""
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", text)
    if match is None:
        raise ValueError(f"found {text!r}, expected a time of day such as 02:00")
    return time(int(match[1]), int(match[2]))


def time_zone(text: str) -> tzinfo:
    """The zone of that name. Raises ``ValueError``."""
    if text == "UTC":
        return UTC  # also where the system has no zone data
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"found {text!r}, expected a time zone such as Asia/Shanghai") from None


def days(text: str) -> int:
    """A whole number of days, at least one. Raises ``ValueError``."""
    if not text.isdecimal() or not 1 <= int(text) <= 3650:
        raise ValueError(f"found {text!r}, expected a number of days between 1 and 3650")
    return int(text)


def _redis(env: Environment) -> RedisSettings | None:
    if not env.variables.get("REDIS_ADDR"):
        return None
    host, port = env.parsed("REDIS_ADDR", "", _address, ("", 0))
    return RedisSettings(
        host=host,
        port=port,
        user=env.text("REDIS_USER", "default"),
        password=env.secret("REDIS_PASSWORD"),
        data_dir=Path(env.text("REDIS_DATA_DIR", "/redis-data")),
    )


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host:
        raise ValueError(f"found {text!r}, expected host:port")
    return host, parse_port(port)


def _bucket(env: Environment, prefix: str) -> BucketSettings | None:
    if not env.variables.get(f"{prefix}ENDPOINT"):
        return None
    return BucketSettings(
        endpoint=env.parsed(f"{prefix}ENDPOINT", "", _url, ""),
        bucket=env.text(f"{prefix}BUCKET"),
        region=env.text(f"{prefix}REGION", "us-east-1"),
        access_key=env.secret(f"{prefix}ACCESS_KEY"),
        secret_key=env.secret(f"{prefix}SECRET_KEY"),
    )


def _offsite(env: Environment) -> OffsiteSettings | None:
    bucket = _bucket(env, "OFFSITE_S3_")
    if bucket is None:
        return None
    return OffsiteSettings(bucket=bucket, recipient=env.parsed("OFFSITE_AGE_RECIPIENT", None, _age_key, ""))


def _age_key(text: str) -> str:
    if not re.fullmatch(r"age1[0-9a-z]{58}", text):
        raise ValueError(f"found {text!r}, expected a public age key, age1 and 58 more characters")
    return text


def _url(text: str) -> str:
    if not re.fullmatch(r"https?://[^/\s]+/?", text):
        raise ValueError(f"found {text!r}, expected http(s)://host:port")
    return text.rstrip("/")


def _alerts(env: Environment) -> AlertSettings:
    return AlertSettings(
        channels=env.parsed("ALERT_CHANNELS", "[]", _channels, ()),
        language=env.parsed("ALERT_LANGUAGE", "zh", _language, "zh"),
        link=env.text("PUBLIC_URL", ""),
    )


def _channels(text: str) -> tuple[Channel, ...]:
    try:
        return msgspec.json.decode(text, type=tuple[Channel, ...])
    except msgspec.MsgspecError as error:
        raise ValueError(f"found what is no list of channels: {error}") from None


def _language(text: str) -> Language:
    if text not in WORDS:
        raise ValueError(f"found {text!r}, expected one of {', '.join(WORDS)}")
    return text
