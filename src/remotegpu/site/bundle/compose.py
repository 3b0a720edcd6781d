"""``docker-compose.prod.yml``: every service hardened the same way, and what each needs beyond that. Pure."""

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from remotegpu.site.bundle import environment, topology
from remotegpu.site.bundle.topology import SLOTS, UIDS
from remotegpu.site.config.model import Config, Service
from remotegpu.site.config.versions import image_of

Block = dict[str, Any]
"""A part of a compose file: what YAML can hold."""

FILE_NAME = "docker-compose.prod.yml"
SLOT_IMAGES = ".env"
"""Written by ``site deploy``: which image is in which slot. Compose reads it by itself."""


def text(config: Config) -> str:
    """The file. Equal input gives equal bytes."""
    yaml = YAML()
    yaml.width = 110
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.ignore_aliases = _no_aliases
    document = CommentedMap(_document(config))
    document.yaml_set_start_comment(environment.HEAD.removeprefix("# ").rstrip("\n"))
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


def _no_aliases(_value: object) -> bool:
    """Every service says all of itself."""
    return True


def _document(config: Config) -> Block:
    return {
        "name": topology.project(config),
        "services": _services(config),
        "networks": {name: _network(config, name) for name in topology.NETWORKS}
        | {name: {"driver": "bridge"} for name in (*_exposed(config), *_outgoing(config))},
        "volumes": {name: {} for name in _volumes(config)},
    }


def _services(config: Config) -> Block:
    services = {"nginx": _nginx(config)}
    services |= {f"backend-{slot}": _backend(config, slot) for slot in SLOTS}
    services |= {f"frontend-{slot}": _frontend(config, slot) for slot in SLOTS}
    services |= {"worker": _worker(config), "migrate": _migrate(config)}
    services |= {"postgresql": _postgresql(config), "redis": _redis(config)}
    if config.components.rustfs:
        services["rustfs"] = _rustfs(config)
    return services | {"backup": _backup(config)}


def release_image(config: Config, program: str, variable: str) -> str:
    """What ``site deploy`` put into the slot; before the first deploy, the release that the file names."""
    prefix = f"{config.release.registry.rstrip('/')}/" if config.release.registry else ""
    return f"${{{variable}:-{prefix}remotegpu-{program}:{config.release.version}}}"


def _component(config: Config, name: str) -> str:
    """The same for what others make: its id once it was deployed, so that a tag that moves restarts nothing."""
    return f"${{{name.upper()}_IMAGE:-{image_of(name, config.images)}}}"


def _base(config: Config, service: Service, image: str, *, grace_s: int = 10) -> Block:
    """What holds for every container. CIS Docker Benchmark: 4.1, 5.4, 5.11-5.13, 5.15, 5.26, 5.29."""
    limits = topology.bounds(config, service)
    uid = UIDS[service]
    return {
        "image": image,
        "pull_policy": "never",
        "user": f"{uid}:{uid}",
        "restart": "always",
        "init": True,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "stop_grace_period": f"{grace_s}s",
        "tmpfs": [f"/tmp:size=64m,mode=1777,uid={uid},gid={uid}"],  # noqa: S108 - in the container
        "deploy": {
            "resources": {
                "limits": {"cpus": f"{limits.cpus:g}", "memory": limits.memory, "pids": limits.pids}
            }
        },
        "logging": {"driver": "json-file", "options": {"max-size": "20m", "max-file": "5"}},
    }


def _health(*test: str, start_s: int = 60, interval_s: int = 3, timeout_s: int = 5) -> Block:
    return {
        "test": list(test),
        "interval": f"{interval_s}s",
        "timeout": f"{timeout_s}s",
        "retries": 5,
        "start_period": f"{start_s}s",
    }


def _probe(url: str) -> Block:
    return _health("CMD", "python", "-m", "remotegpu.kit.probe", url)


def _env_file(name: str) -> list[Block]:
    """``raw``: a ``$`` in a value stays one."""
    return [{"path": name, "format": "raw"}]


def _secrets(service: Service) -> str:
    """The whole directory, so that a new secret arrives without a new container."""
    return f"./secrets/{service}:/run/secrets:ro"


def _fingerprint(variable: str) -> Block:
    """Programs read their secrets when they start: another label makes Compose start them anew."""
    return {"org.remotegpu.secrets": f"${{{variable}:-}}"}


def _nginx(config: Config) -> Block:
    network = config.network
    return _base(config, "nginx", _component(config, "nginx"), grace_s=30) | {
        "command": ["nginx", "-e", "/dev/stderr", "-c", "/etc/remotegpu/nginx/nginx.conf"],
        "stop_signal": "SIGQUIT",
        "ports": [f"{network.http_port}:8080", f"{network.https_port}:8443"],
        "volumes": ["./nginx:/etc/remotegpu/nginx:ro"],
        "networks": {"edge": {}, "app": _fixed(config, "nginx")},
        "healthcheck": _health(
            "CMD", "curl", "-fsS", "-o", "/dev/null", f"http://127.0.0.1:{topology.PROBE_PORT}/healthz"
        ),
    }


def _fixed(config: Config, service: str) -> Block:
    return {"ipv4_address": str(topology.address(config, service))}


def _backend(config: Config, slot: str) -> Block:
    name = f"backend-{slot}"
    image = release_image(config, "backend", f"BACKEND_{slot.upper()}_IMAGE")
    return _base(config, "backend", image, grace_s=15) | {
        "command": ["server", "run"],
        "env_file": _env_file(".env.backend"),
        "environment": {"INSTANCE_NAME": name},
        "labels": _fingerprint(f"BACKEND_{slot.upper()}_SECRETS"),
        "volumes": [_secrets("backend")],
        "networks": {"app": _fixed(config, name), "data": {}, "monitoring": {}},
        "healthcheck": _probe(f"http://127.0.0.1:{topology.BACKEND_PORT}/health/ready"),
    }


def _frontend(config: Config, slot: str) -> Block:
    image = release_image(config, "frontend", f"FRONTEND_{slot.upper()}_IMAGE")
    return _base(config, "frontend", image) | {
        "networks": {"app": _fixed(config, f"frontend-{slot}")},
        "healthcheck": _health(
            "CMD", "curl", "-fsS", "-o", "/dev/null", f"http://127.0.0.1:{topology.FRONTEND_PORT}/healthz"
        ),
    }


def _worker(config: Config) -> Block:
    image = release_image(config, "backend", "WORKER_IMAGE")
    return _base(config, "worker", image, grace_s=30) | {
        "command": ["server", "worker"],
        "env_file": _env_file(".env.backend"),
        "environment": {
            "INSTANCE_NAME": "worker",
            "ALIVE_FILE": "/tmp/alive",  # noqa: S108 - in the container
            "METRICS_PORT": str(topology.METRICS_PORT),
        },
        "labels": _fingerprint("WORKER_SECRETS"),
        "volumes": [_secrets("worker")],
        "networks": ["app", "data", "monitoring"],
        "healthcheck": _health("CMD-SHELL", 'test -n "$$(find /tmp/alive -mmin -2)"'),
    }


def _migrate(config: Config) -> Block:
    """Run by ``site deploy``, once for each phase; never stays."""
    return _base(config, "migrate", release_image(config, "backend", "MIGRATE_IMAGE")) | {
        "profiles": ["tools"],
        "restart": "no",
        "command": ["server", "migrate"],
        "env_file": _env_file(".env.backend"),
        "environment": {
            "DB_OWNER_USER": topology.OWNER_ROLE,
            "DB_OWNER_PASSWORD_FILE": "/run/secrets/db_owner_password",
        },
        "volumes": [_secrets("migrate")],
        "networks": ["data"],
        "healthcheck": {"disable": True},
    }


def _postgresql(config: Config) -> Block:
    # While the image makes the cluster, a server of its own answers on the socket alone, and goes again: only the
    # one that stays listens (0A) on port 5432 (1538). Asking that over TCP would fill the log with refusals.
    listens = "grep -q ':1538 00000000:0000 0A' /proc/net/tcp"
    ready = f"pg_isready -q -h /var/run/postgresql -U postgres -d {topology.DATABASE}"
    memory = topology.bounds(config, "postgresql").mebibytes
    block = _base(config, "postgresql", release_image(config, "postgresql", "POSTGRESQL_IMAGE"), grace_s=120)
    return (
        block
        | {
            "command": ["postgres", "-c", "config_file=/etc/postgresql/postgresql.conf"],
            "stop_signal": "SIGINT",
            "shm_size": f"{memory // 4}m",
            "env_file": _env_file(".env.db"),
            "volumes": [
                "postgresql_data:/var/lib/postgresql/data",
                "postgresql_socket:/var/run/postgresql",
                "./postgresql:/etc/postgresql:ro",
                "./backups/pgbackrest:/backups/pgbackrest",
                _secrets("postgresql"),
            ],
            "networks": ["data", *_way_in(config, "postgresql"), *_outgoing(config)],
            "healthcheck": _health("CMD-SHELL", f"{listens} && {ready}", start_s=120),
        }
        | _published(config, "postgresql", "5432:5432")
    )


def _redis(config: Config) -> Block:
    # -e: without it redis-cli ends with 0 also when Redis refused the password. $$ is Compose's way to write $.
    ping = 'REDISCLI_AUTH="$$(cat /run/secrets/redis_operator_password)" redis-cli -e --user operator ping'
    return (
        _base(config, "redis", _component(config, "redis"), grace_s=60)
        | {
            "command": ["redis-server", "/usr/local/etc/redis/redis.conf"],
            "env_file": _env_file(".env.redis"),
            "volumes": ["redis_data:/data", "./redis:/usr/local/etc/redis:ro", _secrets("redis")],
            "networks": ["data", *_way_in(config, "redis")],
            "healthcheck": _health("CMD-SHELL", ping),
        }
        | _published(config, "redis", "6379:6379")
    )


def _rustfs(config: Config) -> Block:
    return (
        _base(config, "rustfs", _component(config, "rustfs"), grace_s=60)
        | {
            "environment": {
                "RUSTFS_VOLUMES": "/data",
                "RUSTFS_ADDRESS": f"0.0.0.0:{topology.OBJECTS_PORT}",
                "RUSTFS_CONSOLE_ENABLE": "false",
                "RUSTFS_ACCESS_KEY_FILE": "/run/secrets/s3_access_key",
                "RUSTFS_SECRET_KEY_FILE": "/run/secrets/s3_secret_key",
            },
            "volumes": ["rustfs_data:/data", _secrets("rustfs")],
            "networks": {"app": _fixed(config, "rustfs"), "data": {}},
            "healthcheck": _health(
                "CMD", "curl", "-fsS", "-o", "/dev/null", f"http://127.0.0.1:{topology.OBJECTS_PORT}/health"
            ),
        }
        # the app network has a way out, so that a published port needs no other one
        | _published(config, "rustfs", f"{topology.OBJECTS_PORT}:{topology.OBJECTS_PORT}")
    )


def _backup(config: Config) -> Block:
    image = release_image(config, "postgresql", "BACKUP_IMAGE")
    return _base(config, "backup", image, grace_s=30) | {
        "cpu_shares": topology.BACKUP_CPU_SHARES,
        "entrypoint": ["/opt/remotegpu/bin/remotegpu"],
        "stop_signal": "SIGTERM",
        "command": ["backups", "schedule"],
        "env_file": _env_file(".env.backup"),
        "labels": _fingerprint("BACKUP_SECRETS"),
        "volumes": [
            "./backups:/backups",
            "./scratch:/scratch",
            "postgresql_data:/var/lib/postgresql/data:ro",
            "postgresql_socket:/var/run/postgresql",
            "redis_data:/redis-data:ro",
            "./postgresql:/etc/postgresql:ro",
            _secrets("backup"),
        ],
        "networks": ["app", "data", "monitoring"],
        "healthcheck": _health(
            "CMD",
            "/opt/remotegpu/bin/python",
            "-m",
            "remotegpu.kit.probe",
            f"http://127.0.0.1:{topology.METRICS_PORT}/metrics",
        ),
    }


def _published(config: Config, service: Any, ports: str) -> Block:  # Any: one of the exposable services
    """Only when asked, and only on the internal address: Docker's ports pass by the host's firewall."""
    if service not in config.network.expose:
        return {}
    address = config.network.internal_address
    return {"ports": [f"[{address}]:{ports}" if ":" in address else f"{address}:{ports}"]}


def _way_in(config: Config, service: Any) -> list[str]:  # Any: same
    """The data network publishes nothing; what is published on purpose is in another one as well."""
    return ["exposed"] if service in config.network.expose else []


def _network(config: Config, name: str) -> Block:
    """Addresses are given out from the upper half; the lower one is for fixed ones."""
    subnet = topology.network(config, name)
    upper = list(subnet.subnets(prefixlen_diff=1))[1]
    block: Block = {
        "driver": "bridge",
        "ipam": {"config": [{"subnet": str(subnet), "ip_range": str(upper), "gateway": str(subnet[1])}]},
    }
    return block | ({"internal": True} if name in {"data", "monitoring"} else {})


def _exposed(config: Config) -> list[str]:
    """A network without a way out publishes no port; what is published on purpose gets one of its own."""
    return ["exposed"] if config.network.expose else []


def _outgoing(config: Config) -> list[str]:
    """PostgreSQL itself sends its log off the node when there is a place for it."""
    return ["outgoing"] if config.backup.offsite else []


def _volumes(config: Config) -> list[str]:
    stores = ["rustfs_data"] if config.components.rustfs else []
    return ["postgresql_data", "postgresql_socket", "redis_data", *stores]
