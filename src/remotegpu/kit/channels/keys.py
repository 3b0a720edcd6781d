"""The secrets of a channel, from their files, when a message is sent: one that was replaced is in use at once."""

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from remotegpu.kit.channels import standard_webhooks
from remotegpu.kit.channels.models import Channel, ChannelError, Webhook

KEY_LIKE = 16
"""Characters from which on a part of a path may be a key."""


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Empty for what a channel has not. ``ca``: PEM text. None of it is ever shown."""

    url: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    ca: str = field(default="", repr=False)

    @property
    def hidden(self) -> tuple[str, ...]:
        """Texts that no message may repeat: also the parts of the URL, which hold a robot's key."""
        parts = urlsplit(self.url)
        values = [value.partition("=")[2] for value in parts.query.split("&")]
        values += [part for part in parts.path.split("/") if len(part) >= KEY_LIKE]
        return (self.url, f"{parts.path}?{parts.query}", *values, self.secret, self.password)


@dataclass(frozen=True)
class KeyProblem:
    """``field``: of the channel."""

    field: str
    found: str
    expected: str
    remedy: str


def read(channel: Channel) -> Keys:
    """Raises :class:`ChannelError` for the first file that cannot be used."""
    for problem in problems(channel):
        raise ChannelError(channel, f"{problem.field}: {problem.found}", problem.expected, problem.remedy)
    return Keys(
        **{name: _path(channel, name).read_text(encoding="utf-8").strip() for name in _named(channel)}
    )


def problems(channel: Channel) -> Iterator[KeyProblem]:
    """Everything that keeps the channel's files from being used."""
    for name in _named(channel):
        path, label = _path(channel, name), f"{name}_file"
        try:
            text = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            said = (error.strerror or "nothing readable") if isinstance(error, OSError) else "no UTF-8 text"
            yield KeyProblem(label, f"{path}: {said}", EXPECTED[name], f"Write it into {path}.")
            continue
        check = _check_secret if isinstance(channel, Webhook) and name == "secret" else CHECKS[name]
        if said := check(text):
            yield KeyProblem(label, f"{said} in {path}", EXPECTED[name], f"Correct what {path} holds.")


def _named(channel: Channel) -> list[str]:
    """The keys that the channel names a file for."""
    return [name for name in CHECKS if getattr(channel, f"{name}_file", "")]


def _path(channel: Channel, name: str) -> Path:
    return Path(getattr(channel, f"{name}_file"))


def _check_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme == "https" and bool(parts.hostname) and not any(map(str.isspace, text))
        usable = usable and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    return "" if usable else "something else"


def _check_ca(text: str) -> str:
    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError):
        return "something else"
    return "" if text else "nothing"


def _check_secret(text: str) -> str:
    return "" if standard_webhooks.key(text) else "something else"


def _check_filled(text: str) -> str:
    return "" if text and "\n" not in text else "nothing, or more than one line,"


CHECKS: dict[str, Callable[[str], str]] = {
    "url": _check_url,
    "secret": _check_filled,
    "password": _check_filled,
    "ca": _check_ca,
}
EXPECTED = {
    "url": "one https:// URL",
    "secret": "the secret, for a webhook whsec_ and 24 to 64 bytes in base64",
    "password": "the password on one line",
    "ca": "PEM certificates",
}
