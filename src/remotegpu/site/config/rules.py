"""What single fields cannot say: which of them contradict each other. Pure."""

from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address

from remotegpu.site.config.model import Config
from remotegpu.site.config.problems import ConfigProblem, closest
from remotegpu.site.config.versions import is_fixed, manifest


def contradictions(config: Config) -> list[ConfigProblem]:
    """Everything that cannot be true together."""
    return [
        *_object_store(config),
        *_tls(config),
        *_network(config),
        *_backup(config),
        *_images(config),
    ]


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
        if not is_fixed(image):
            yield ConfigProblem(
                f"images.{component}",
                image,
                "a fixed tag or a digest",
                "What a mutable tag means changes behind your back; name a version.",
            )
