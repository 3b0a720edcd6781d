"""The files that ``remotegpu.yaml`` names: whether they are there, and the certificate is one for this site."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from remotegpu.site.config import channels
from remotegpu.site.config.model import Config
from remotegpu.site.config.problems import ConfigError, ConfigProblem

SUFFIX = "_file"
"""How the keys end whose value is the path of a file with a secret."""


def require(path: Path, config: Config, now: datetime) -> None:
    """Raises :class:`ConfigError` of the configuration at ``path`` with everything that is wrong with them."""
    found = problems(config, now)
    if found:
        raise ConfigError(str(path), found)


def problems(config: Config, now: datetime) -> list[ConfigProblem]:
    """Everything that is wrong with them. Reads them, and repeats nothing of what they hold."""
    unread = [problem for key, path in _named(config, "") for problem in _content(key, path)[1]]
    told = {problem.key for problem in unread}
    unusable = [problem for problem in channels.problems(config) if problem.key not in told]
    return [*unread, *unusable, *_certificate(config, now)]


def _named(section: object, where: str) -> Iterator[tuple[str, str]]:
    """Key and path of each file, at any depth."""
    if isinstance(section, msgspec.Struct):
        for name, value in msgspec.structs.asdict(section).items():
            key = f"{where}.{name}".lstrip(".")
            if name.endswith(SUFFIX) and isinstance(value, str) and value:
                yield key, value
            else:
                yield from _named(value, key)
    elif isinstance(section, list):
        for position, value in enumerate(section):
            yield from _named(value, f"{where}[{position}]")


def _content(key: str, path: str) -> tuple[str, list[ConfigProblem]]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "no text"
        remedy = "Put it there, make it readable, or correct the path. Look on the node itself, as root."
        return "", [ConfigProblem(key, f"{path}: {why}", "a file that can be read", remedy)]
    if not text.strip():
        return "", [ConfigProblem(key, f"{path}: nothing in it", "a file with content", "Fill it in.")]
    return text, []


def _certificate(config: Config, now: datetime) -> list[ConfigProblem]:
    """What would keep nginx from showing it, or visitors from believing it."""
    if config.tls.mode != "files":
        return []
    certificate, wrong_certificate = _content("tls.certificate", config.tls.certificate)
    key, wrong_key = _content("tls.key", config.tls.key)
    if wrong_certificate or wrong_key:
        return wrong_certificate + wrong_key
    return list(_pair(config, certificate, key, now))


def _pair(config: Config, certificate: str, key: str, now: datetime) -> Iterator[ConfigProblem]:
    from remotegpu.kit import certificates  # noqa: PLC0415 - cryptography takes its time to load

    domain = config.site.domain
    try:
        shown = certificates.read(certificate)
    except ValueError:
        remedy = "Name the certificate, followed by those between it and its authority."
        yield ConfigProblem("tls.certificate", "no certificate", "a PEM file with one", remedy)
        return
    if not shown.covers(domain):
        found, remedy = f"one for {', '.join(shown.names) or 'no name'}", "Get one for the site's domain."
        yield ConfigProblem("tls.certificate", found, f"one for {domain}", remedy)
    if shown.ends_at <= now:
        found, remedy = f"one that ended on {shown.ends_at:%Y-%m-%d}", "Replace both files with new ones."
        yield ConfigProblem("tls.certificate", found, "one that is valid", remedy)
    if not shown.fits(key):
        remedy = "Name the key that the certificate was made for, without a passphrase."
        yield ConfigProblem("tls.key", "no key of this certificate", "its private key as PEM", remedy)
