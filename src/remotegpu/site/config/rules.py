"""What single fields cannot say: which of them contradict each other. Pure."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from ipaddress import IPv4Network, ip_address
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from remotegpu.site.config.model import Config, EmailChannel
from remotegpu.site.config.problems import ConfigProblem, closest
from remotegpu.site.config.versions import REFERENCE, is_fixed, manifest

SUBNET_BITS = 22
SECTIONS = Config.__struct_fields__


def contradictions(config: Config, sound: Collection[str] = SECTIONS) -> list[ConfigProblem]:
    """Everything that cannot be true together, as far as it can be said of the sections in ``sound``."""
    return [problem for rule, read in RULES if set(read) <= set(sound) for problem in rule(config)]


def _timezone(config: Config) -> Iterator[ConfigProblem]:
    try:
        ZoneInfo(config.site.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        remedy = "Name one of the tz database, such as Asia/Shanghai or UTC."
        yield ConfigProblem("site.timezone", config.site.timezone, "a time zone", remedy)


def _object_store(config: Config) -> Iterator[ConfigProblem]:
    if not config.components.rustfs and config.object_store is None:
        yield ConfigProblem(
            "object_store",
            "nothing",
            "an S3 service, because components.rustfs is false",
            "Fill in object_store, or set components.rustfs to true.",
        )
    if config.components.rustfs and config.object_store is not None:
        yield ConfigProblem(
            "object_store",
            "an S3 service",
            "nothing, because components.rustfs is true",
            "Remove object_store, or set components.rustfs to false.",
        )


def _tls(config: Config) -> Iterator[ConfigProblem]:
    for name in ("certificate", "key"):
        value = getattr(config.tls, name)
        if config.tls.mode == "files" and not value:
            remedy = "Name the PEM file, or use tls.mode local-ca."
            yield ConfigProblem(f"tls.{name}", "nothing", "a file, because tls.mode is files", remedy)
        if config.tls.mode != "files" and value:
            remedy = "Remove it, or use tls.mode files."
            yield ConfigProblem(
                f"tls.{name}", value, f"nothing, because tls.mode is {config.tls.mode}", remedy
            )


def _network(config: Config) -> Iterator[ConfigProblem]:
    network = config.network
    if network.http_port == network.https_port:
        yield ConfigProblem(
            "network.https_port",
            str(network.https_port),
            "another port than network.http_port",
            "Change one.",
        )
    yield from _subnet(network.subnet)
    for position, proxies in enumerate(network.trusted_proxies):
        yield from _is_network(f"network.trusted_proxies[{position}]", proxies)
    if network.internal_address:
        yield from _internal_address(network.internal_address)
    elif network.expose:
        yield ConfigProblem(
            "network.internal_address",
            "nothing",
            "an address, because network.expose lists services",
            "Name the node's address in the internal network, or empty network.expose.",
        )
    for name, count in Counter(network.expose).items():
        if count > 1:
            yield ConfigProblem("network.expose", f"{name} {count} times", "each service once", "Remove one.")
    if "rustfs" in network.expose and not config.components.rustfs:
        yield ConfigProblem(
            "network.expose",
            "rustfs",
            "services that run here",
            "Remove it, or set components.rustfs to true.",
        )


def _subnet(text: str) -> Iterator[ConfigProblem]:
    """Four networks of 256 addresses are cut out of it."""
    problems = list(_is_network("network.subnet", text))
    if not problems and (IPv4Network(text).prefixlen != SUBNET_BITS or not IPv4Network(text).is_private):
        remedy = "Name a private network that nothing else on this node uses."
        problems = [ConfigProblem("network.subnet", text, "a private /22 such as 172.30.0.0/22", remedy)]
    yield from problems


def _is_network(key: str, text: str) -> Iterator[ConfigProblem]:
    try:
        IPv4Network(text)
    except ValueError as error:
        yield ConfigProblem(key, str(error), "a network such as 10.0.0.0/8", "Correct it.")


def _internal_address(text: str) -> Iterator[ConfigProblem]:
    try:
        address = ip_address(text)
    except ValueError:
        yield ConfigProblem("network.internal_address", text, "an IP address", "Correct it.")
        return
    if not address.is_private or address.is_unspecified or address.is_link_local:
        yield ConfigProblem(
            "network.internal_address",
            text,
            "an address of a private network",
            "A published database port is open to everybody who reaches this address; use an internal one.",
        )


def _backup(config: Config) -> Iterator[ConfigProblem]:
    if config.backup.wal_days > config.backup.keep_days:
        yield ConfigProblem(
            "backup.wal_days",
            str(config.backup.wal_days),
            f"at most backup.keep_days ({config.backup.keep_days})",
            "A moment cannot be restored without a backup before it; lower it, or raise backup.keep_days.",
        )


def _offsite(config: Config) -> Iterator[ConfigProblem]:
    """What leaves the node is encrypted, on the way and where it lies."""
    offsite = config.backup.offsite
    if offsite is None:
        return
    if not config.backup.age_recipients:
        remedy = (
            "Make a key with age-keygen, keep its private half off this node, and put the public one here."
        )
        yield ConfigProblem(
            "backup.age_recipients", "nothing", "a key, because backup.offsite is set", remedy
        )
    if not offsite.endpoint.startswith("https://"):
        remedy = "Name the service's TLS address; pgBackRest speaks nothing else."
        yield ConfigProblem("backup.offsite.endpoint", offsite.endpoint, "a URL with https://", remedy)


def _alerts(config: Config) -> Iterator[ConfigProblem]:
    """Files, metrics and commands go by the names."""
    seen: set[str] = set()
    for number, channel in enumerate(config.alerts.channels):
        key = f"alerts.channels[{number}]"
        if channel.name in seen:
            remedy = "Give each channel a name of its own."
            yield ConfigProblem(f"{key}.name", f"{channel.name} again", "another name", remedy)
        seen.add(channel.name)
        if isinstance(channel, EmailChannel):
            yield from _sign_in(key, channel)


def _sign_in(key: str, channel: EmailChannel) -> Iterator[ConfigProblem]:
    remedy = "Fill in both, or none for a server that wants no sign-in."
    if channel.user and not channel.password_file:
        yield ConfigProblem(f"{key}.password_file", "nothing", "a file, because user is set", remedy)
    if channel.password_file and not channel.user:
        yield ConfigProblem(f"{key}.user", "nothing", "a name, because password_file is set", remedy)


def _images(config: Config) -> Iterator[ConfigProblem]:
    for component, image in config.images.items():
        if component not in manifest():
            meant = closest(component, manifest())
            yield ConfigProblem(
                f"images.{component}",
                "a component that no site has",
                "one of " + ", ".join(manifest()),
                f"Did you mean {meant}?" if meant else "Remove it.",
            )
        if not REFERENCE.fullmatch(image):
            remedy = "Write it as `docker pull` takes it."
            yield ConfigProblem(f"images.{component}", image, "the name of an image", remedy)
        elif not is_fixed(image):
            yield ConfigProblem(
                f"images.{component}",
                image,
                "a fixed tag or a digest",
                "What a mutable tag means changes behind your back; name a version.",
            )


RULES: tuple[tuple[Callable[[Config], Iterator[ConfigProblem]], tuple[str, ...]], ...] = (
    (_timezone, ("site",)),
    (_object_store, ("components", "object_store")),
    (_tls, ("tls",)),
    (_network, ("network", "components")),
    (_backup, ("backup",)),
    (_alerts, ("alerts",)),
    (_offsite, ("backup",)),
    (_images, ("images",)),
)
"""Each with the sections it reads: it is asked when all of those can be read."""
