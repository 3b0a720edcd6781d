"""The ``.env.*`` files: settings by service. Nothing in them is secret; secrets are named by the file they are in."""

import msgspec

from remotegpu.site.bundle import topology
from remotegpu.site.config import channels
from remotegpu.site.config.model import S3, Config

HEAD = "# Rendered by `remotegpu site render` from remotegpu.yaml; what is changed here is lost.\n"
SECRETS = "/run/secrets"


def backend(config: Config) -> dict[str, str]:
    """For both slots, the worker and migrations; what differs between them stands in the compose file."""
    return {
        "DB_HOST": "postgresql",
        "DB_NAME": topology.DATABASE,
        "DB_USER_FILE": f"{SECRETS}/db_user",
        "DB_PASSWORD_FILE": f"{SECRETS}/db_password",
        "DB_APP_GROUP": topology.APP_GROUP,
        "DB_SSLMODE": "verify-full",
        "PGSSLROOTCERT": f"{SECRETS}/ca.pem",
        "REDIS_ADDR": "redis:6379",
        "REDIS_USER": "remotegpu",
        "REDIS_PASSWORD_FILE": f"{SECRETS}/redis_password",
        **_objects(config),
        "S3_PUBLIC_ENDPOINT": public_objects(config),
        "JWT_SECRET_FILE": f"{SECRETS}/jwt_secret",
        "SSH_CA_KEY_FILE": f"{SECRETS}/ssh_ca_key",
        "SERVER_HOST": "0.0.0.0",
        "SERVER_PORT": str(topology.BACKEND_PORT),
        "PUBLIC_URL": topology.public_url(config),
        "TRUSTED_PROXIES": str(topology.address(config, "nginx")),
        "LOG_LEVEL": "info",
        "TZ": config.site.timezone,
    }


def database(config: Config) -> dict[str, str]:
    """For PostgreSQL's image, which reads them when it makes the cluster."""
    return {
        "POSTGRES_USER": "postgres",
        "POSTGRES_DB": topology.DATABASE,
        "POSTGRES_PASSWORD_FILE": f"{SECRETS}/db_superuser_password",
        "POSTGRES_INITDB_ARGS": "--data-checksums --auth-local=peer --auth-host=scram-sha-256 "
        # sorts the same whatever the image's C library is, so that no new image breaks an index
        "--locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C.UTF-8",
        "PGDATA": "/var/lib/postgresql/data",
        # also for `pgbackrest info` by hand: where a repository is may stand in the stanza's section
        "PGBACKREST_STANZA": topology.DATABASE,
        "PGBACKREST_CONFIG": "/etc/postgresql/pgbackrest.conf",
        "PGBACKREST_CONFIG_INCLUDE_PATH": SECRETS,
        "TZ": config.site.timezone,
    }


def redis(config: Config) -> dict[str, str]:
    """Redis itself reads redis.conf; its passwords are in its ACL file, as hashes."""
    return {"TZ": config.site.timezone}


def backup(config: Config) -> dict[str, str]:
    """For the container that makes, checks and restores backups."""
    settings = {
        "SITE_NAME": config.site.name,
        "BACKUP_DIR": "/backups",
        "SCRATCH_DIR": "/scratch",
        "DB_NAME": topology.DATABASE,
        "PGHOST": "/var/run/postgresql",
        "BACKUP_DAILY_AT": config.backup.daily_at,
        "BACKUP_OBJECTS_AT": config.backup.objects_at,
        "BACKUP_DRILL_AT": config.backup.drill_at,
        "BACKUP_KEEP_DAYS": str(config.backup.keep_days),
        "BACKUP_WAL_DAYS": str(config.backup.wal_days),
        "PGBACKREST_STANZA": topology.DATABASE,
        "PGBACKREST_CONFIG": "/etc/postgresql/pgbackrest.conf",
        "PGBACKREST_CONFIG_INCLUDE_PATH": SECRETS,
        "REPOSITORY_KEYS_DIR": SECRETS,
        "REDIS_ADDR": "redis:6379",
        "REDIS_USER": "backup",
        "REDIS_PASSWORD_FILE": f"{SECRETS}/redis_backup_password",
        **_objects(config),
        "METRICS_PORT": str(topology.METRICS_PORT),
        "TZ": config.site.timezone,
    }
    offsite = _offsite(config, config.backup.offsite) if config.backup.offsite else {}
    return settings | offsite | (_alerts(config) if config.alerts.channels else {})


def public_objects(config: Config) -> str:
    """Where browsers and agents reach the object store."""
    return config.object_store.endpoint if config.object_store else topology.public_url(config)


def bucket(config: Config) -> str:
    """The bucket of logs and artifacts."""
    return config.object_store.bucket if config.object_store else topology.BUCKET


def text(settings: dict[str, str]) -> str:
    """As Compose reads it in its raw format: nothing is quoted, nothing is expanded."""
    return HEAD + "".join(f"{name}={value}\n" for name, value in settings.items())


def _objects(config: Config) -> dict[str, str]:
    store = config.object_store
    return {
        "S3_ENDPOINT": store.endpoint if store else f"http://rustfs:{topology.OBJECTS_PORT}",
        "S3_BUCKET": bucket(config),
        "S3_REGION": store.region if store else "us-east-1",
        "S3_ACCESS_KEY_FILE": f"{SECRETS}/s3_access_key",
        "S3_SECRET_KEY_FILE": f"{SECRETS}/s3_secret_key",
    }


def _offsite(config: Config, offsite: S3) -> dict[str, str]:
    return {
        "OFFSITE_AGE_RECIPIENT": config.backup.age_recipients[0],
        "OFFSITE_S3_ENDPOINT": offsite.endpoint,
        "OFFSITE_S3_BUCKET": offsite.bucket,
        "OFFSITE_S3_REGION": offsite.region,
        "OFFSITE_S3_ACCESS_KEY_FILE": f"{SECRETS}/offsite_access_key",
        "OFFSITE_S3_SECRET_KEY_FILE": f"{SECRETS}/offsite_secret_key",
    }


def _alerts(config: Config) -> dict[str, str]:
    """Channels with the paths of their secrets, never the secrets."""
    found = channels.in_container(config, SECRETS)
    return {
        "ALERT_CHANNELS": msgspec.json.encode(found).decode(),
        "ALERT_LANGUAGE": config.alerts.language,
        "PUBLIC_URL": topology.public_url(config),
    }
