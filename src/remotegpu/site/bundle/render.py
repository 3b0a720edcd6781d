"""``render``: the whole bundle, in the tree of the deployment plan's section 7.9. Pure: equal input, equal bytes."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from remotegpu.site.bundle import compose, environment, topology
from remotegpu.site.config.model import Config
from remotegpu.site.config.versions import image_of, manifest

SCRIPTS = {
    "deploy": ("deploy", "Brings the release of remotegpu.yaml, or the one named, into service."),
    "rollback": ("rollback", "Brings an earlier release back."),
    "backup-db": ("backup --kind database", "Backs the database up now."),
    "restore-db": ("restore", "Brings the database back: --backup ID, or --at TIME."),
}
"""Names of the plan's scripts; the work is in the commands."""


@dataclass(frozen=True)
class BundleFile:
    """``mode``: permissions; nothing in the bundle is secret."""

    text: str
    mode: int = 0o644


def render(config: Config) -> dict[str, BundleFile]:
    """Path in the site's directory -> file, in order of path."""
    files = {
        compose.FILE_NAME: BundleFile(compose.text(config)),
        ".env.backend": BundleFile(environment.text(environment.backend(config))),
        ".env.db": BundleFile(environment.text(environment.database(config))),
        ".env.redis": BundleFile(environment.text(environment.redis(config))),
        ".env.backup": BundleFile(environment.text(environment.backup(config))),
    }
    files |= {path: BundleFile(text) for path, text in _templates(config).items()}
    files |= {f"scripts/{name}.sh": BundleFile(_script(config, name), 0o755) for name in SCRIPTS}
    return dict(sorted(files.items()))


def _templates(config: Config) -> dict[str, str]:
    return {
        "nginx/nginx.conf": _fill("nginx.conf", _nginx(config)),
        "nginx/proxy.conf": _fill("proxy.conf", {}),
        "nginx/streaming.conf": _fill("streaming.conf", {}),
        "nginx/conf.d/site.conf": _fill("site.conf", _nginx(config)),
        "postgresql/postgresql.conf": _fill("postgresql.conf", _postgresql(config)),
        "postgresql/pg_hba.conf": _fill("pg_hba.conf", _postgresql(config)),
        "postgresql/pgbackrest.conf": _fill("pgbackrest.conf", _pgbackrest(config)),
        "redis/redis.conf": _fill("redis.conf", {"memory_mb": topology.bounds(config, "redis").mebibytes}),
        "prometheus/prometheus.yml": _fill("prometheus.yml", _prometheus(config)),
    }


def _nginx(config: Config) -> Mapping[str, object]:
    backend = {
        f"backend_{slot}": f"{topology.address(config, f'backend-{slot}')}:{topology.BACKEND_PORT}"
        for slot in topology.SLOTS
    }
    objects = f"{topology.address(config, 'rustfs')}:{topology.OBJECTS_PORT}"
    return backend | {
        "domain": config.site.domain,
        "public_url": topology.public_url(config),
        "trusted_proxies": config.network.trusted_proxies,
        "requests_per_second": config.network.requests_per_second,
        "nginx_version": nginx_version(config),
        "probe_port": topology.PROBE_PORT,
        "acme": config.tls.mode == "acme",
        "objects": objects if config.components.rustfs else "",
        "bucket": environment.bucket(config),
    }


def nginx_version(config: Config) -> tuple[int, ...]:
    """What the image's tag says, since older ones refuse newer directives; else what the manifest names."""
    for reference in (image_of("nginx", config.images), manifest()["nginx"].reference):
        found = re.search(r":(\d+(?:\.\d+)+)", reference)
        if found:
            return tuple(int(part) for part in found.group(1).split("."))
    raise AssertionError("the manifest names a version of nginx")


def _postgresql(config: Config) -> dict[str, object]:
    return {
        "memory_mb": topology.bounds(config, "postgresql").mebibytes,
        "timezone": config.site.timezone,
        "stanza": topology.DATABASE,
        "database": topology.DATABASE,
        "owner": topology.OWNER_ROLE,
        "app_group": topology.APP_GROUP,
        "data_network": topology.network(config, "data"),
        "exposed": "postgresql" in config.network.expose,
    }


def _pgbackrest(config: Config) -> dict[str, object]:
    return {
        "wal_days": config.backup.wal_days,
        "stanza": topology.DATABASE,
        "offsite": config.backup.offsite,
        "offsite_host": config.backup.offsite.endpoint.removeprefix("https://")
        if config.backup.offsite
        else "",
    }


def _prometheus(config: Config) -> dict[str, object]:
    return {
        "site": config.site.name,
        "backend_port": topology.BACKEND_PORT,
        "metrics_port": topology.METRICS_PORT,
    }


def _script(config: Config, name: str) -> str:
    verb, purpose = SCRIPTS[name]
    path = shlex.quote(f"{config.site.directory}/remotegpu.yaml")
    return _fill("script.sh", {"verb": verb, "purpose": purpose, "config_path": path})


def upstreams(
    config: Config, active: topology.Slot, candidate: topology.Slot, reserve: topology.Slot | None = None
) -> Mapping[str, str]:
    """``nginx/upstreams``: which slot serves, and which one the deployer looks at. State, not part of the bundle.

    ``reserve``: the slot that answers where the active one cannot be reached.
    """
    return {
        "nginx/upstreams/active.conf": _upstreams(config, active, "", reserve),
        "nginx/upstreams/candidate.conf": _upstreams(config, candidate, "_candidate"),
    }


def _upstreams(config: Config, slot: topology.Slot, suffix: str, reserve: topology.Slot | None = None) -> str:
    blocks = [
        f"upstream remotegpu_{program}{suffix} {{\n"
        f"    server {topology.address(config, f'{program}-{slot}')}:{port} max_fails=0;\n"
        + (
            f"    server {topology.address(config, f'{program}-{reserve}')}:{port} backup;\n"
            if reserve
            else ""
        )
        + "    keepalive 64;\n}\n"
        for program, port in (("backend", topology.BACKEND_PORT), ("frontend", topology.FRONTEND_PORT))
    ]
    return f"# Written by `remotegpu site deploy`: {slot}\n" + "".join(blocks)


def _fill(name: str, values: Mapping[str, object]) -> str:
    head = environment.HEAD.removeprefix("# ").rstrip("\n")
    return _jinja.get_template(f"{name}.j2").render(head=head, **values)


_jinja = Environment(
    loader=PackageLoader("remotegpu.site.bundle"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701 - configuration files, not HTML; every value was checked against a pattern
)
