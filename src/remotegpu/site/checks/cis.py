"""The CIS Docker Benchmark (v1.7.0) where it speaks of containers, over a rendered compose file. Pure.

Each check is one function from a service to what is wrong with it; waivers stand here, with their reasons.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML

from remotegpu.site.config.versions import is_fixed

Service = Mapping[str, Any]
"""A service of a compose file."""

SENSITIVE_PATHS = ("/", "/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr")
SECRET_WORDS = ("PASSWORD", "SECRET", "TOKEN", "PRIVATE_KEY", "ACCESS_KEY", "CIPHER")
EVERY_ADDRESS = ("", "0.0.0.0", "[::]", "::")


@dataclass(frozen=True)
class Finding:
    """``waived``: why it may stay, empty for one to be mended."""

    check: str
    service: str
    found: str
    waived: str = ""


WAIVERS: Mapping[tuple[str, str], str] = {
    ("5.15", "migrate"): "runs once for each deployment and must not start again by itself",
    ("4.6", "migrate"): "runs once and ends; its exit status says how it went",
    ("5.14", "nginx"): "is the site's entrance; everything else is published on the internal address only",
}


def check(compose_text: str) -> list[Finding]:
    """Every finding, in the order of the benchmark."""
    services = YAML(typ="safe", pure=True).load(compose_text)["services"]
    return [
        Finding(number, name, found, WAIVERS.get((number, name), ""))
        for number, judge in CHECKS.items()
        for name, service in services.items()
        for found in judge(service)
    ]


def _user(service: Service) -> Iterator[str]:
    user = str(service.get("user", ""))
    if user.split(":", maxsplit=1)[0] in {"", "0", "root"}:
        yield f"user is {user or 'the image’s own'}, expected one that is not root"


def _health(service: Service) -> Iterator[str]:
    health = service.get("healthcheck") or {}
    if health.get("disable") or not health.get("test"):
        yield "no health check"


def _secrets(service: Service) -> Iterator[str]:
    environment = service.get("environment") or {}
    pairs = (
        environment.items() if isinstance(environment, Mapping) else (e.split("=", 1) for e in environment)
    )
    for name, _ in pairs:
        if any(word in name.upper() for word in SECRET_WORDS) and not name.endswith("_FILE"):
            yield f"{name} stands in the environment, expected a file (NAME_FILE)"


def _capabilities(service: Service) -> Iterator[str]:
    if "ALL" not in (service.get("cap_drop") or []):
        yield "cap_drop lacks ALL"
    for added in service.get("cap_add") or []:
        yield f"cap_add has {added}"


def _privileged(service: Service) -> Iterator[str]:
    if service.get("privileged"):
        yield "privileged"


def _host_directories(service: Service) -> Iterator[str]:
    for source in _sources(service):
        if source.rstrip("/") in SENSITIVE_PATHS or source == "/":
            yield f"mounts {source} of the host"


def _docker_socket(service: Service) -> Iterator[str]:
    for source in _sources(service):
        if source.endswith("docker.sock"):
            yield f"mounts {source}, which is root on the host"


def _sources(service: Service) -> Iterator[str]:
    for volume in service.get("volumes") or []:
        yield str(volume["source"]) if isinstance(volume, Mapping) else str(volume).split(":")[0]


def _shared_namespaces(service: Service) -> Iterator[str]:
    for key in ("network_mode", "pid", "ipc", "userns_mode", "uts"):
        if service.get(key) == "host":
            yield f"{key} is host"


def _memory(service: Service) -> Iterator[str]:
    yield from _limit(service, "memory")


def _cpus(service: Service) -> Iterator[str]:
    yield from _limit(service, "cpus")


def _pids(service: Service) -> Iterator[str]:
    yield from _limit(service, "pids")


def _limit(service: Service, name: str) -> Iterator[str]:
    limits = ((service.get("deploy") or {}).get("resources") or {}).get("limits") or {}
    if not limits.get(name):
        yield f"no limit of {name}"


def _read_only(service: Service) -> Iterator[str]:
    if service.get("read_only") is not True:
        yield "the root file system can be written to"


def _published(service: Service) -> Iterator[str]:
    for port in service.get("ports") or []:
        text = str(port)
        address = text.rpartition(":")[0].rpartition(":")[0]
        if address in EVERY_ADDRESS:
            yield f"port {text} is published on every address"


def _restart(service: Service) -> Iterator[str]:
    if service.get("restart") not in {"always", "unless-stopped"}:
        yield f"restart is {service.get('restart', 'no')}"


def _security_options(service: Service) -> Iterator[str]:
    options = [str(option) for option in service.get("security_opt") or []]
    if "no-new-privileges:true" not in options:
        yield "security_opt lacks no-new-privileges:true"
    for option in options:
        if option.endswith("unconfined"):
            yield f"security_opt has {option}"


def _tag(service: Service) -> Iterator[str]:
    image = str(service.get("image", ""))
    if image.startswith("${"):
        image = image.partition(":-")[2].rstrip("}")
    if not is_fixed(image):
        yield f"image {image} may be another one tomorrow"


def _log_rotation(service: Service) -> Iterator[str]:
    logging = (service.get("logging") or {}).get("options") or {}
    if not logging.get("max-size") or not logging.get("max-file"):
        yield "logs grow without end"


CHECKS: Mapping[str, Callable[[Service], Iterator[str]]] = {
    "4.1": _user,
    "4.6": _health,
    "4.10": _secrets,
    "5.4": _capabilities,
    "5.5": _privileged,
    "5.6": _host_directories,
    "5.10": _shared_namespaces,
    "5.11": _memory,
    "5.12": _cpus,
    "5.13": _read_only,
    "5.14": _published,
    "5.15": _restart,
    "5.26": _security_options,
    "5.28": _tag,
    "5.29": _pids,
    "5.32": _docker_socket,
    "2.13": _log_rotation,
}
"""By the benchmark's number. 5.10 also covers 5.16, 5.17, 5.21 and 5.31; 5.26 also 5.22; 2.13 asks for log rotation."""
