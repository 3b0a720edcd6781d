"""What a channel is, and what goes through it. Secrets stay in files; a channel only says in which."""

from datetime import datetime
from typing import Literal

import msgspec

Level = Literal["problem", "resolved", "info"]
Security = Literal["starttls", "tls"]


class Message(msgspec.Struct, kw_only=True, frozen=True):
    """``id``: the same each time the same message is sent. ``source``: who speaks, such as a site's name.

    ``text``: plain lines. ``link``: where to look; empty for nowhere.
    """

    id: str
    source: str
    title: str
    text: str
    level: Level
    at: datetime
    link: str = ""

    @property
    def headline(self) -> str:
        """On one line, with who speaks."""
        return " ".join(f"[{self.source}] {self.title}".split())


class _Named(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """``ca_file``: PEM certificates to trust instead of the public authorities; empty for those."""

    name: str
    ca_file: str = ""


class Wecom(_Named, kw_only=True, frozen=True, tag="wecom"):
    """A group's robot. The key stands in its URL."""

    url_file: str


class Dingtalk(_Named, kw_only=True, frozen=True, tag="dingtalk"):
    """``secret_file``: of a robot that wants signatures; empty for one that goes by keyword or address."""

    url_file: str
    secret_file: str = ""


class Feishu(_Named, kw_only=True, frozen=True, tag="feishu"):
    """Likewise."""

    url_file: str
    secret_file: str = ""


class Webhook(_Named, kw_only=True, frozen=True, tag="webhook"):
    """A program of somebody's own. Each request is signed as Standard Webhooks says."""

    url_file: str
    secret_file: str


class Email(_Named, kw_only=True, frozen=True, tag="email"):
    """``user``: empty for a server that wants no sign-in."""

    host: str
    port: int
    security: Security
    sender: str
    recipients: tuple[str, ...]
    user: str = ""
    password_file: str = ""


Channel = Wecom | Dingtalk | Feishu | Webhook | Email


def kind_of(channel: Channel) -> str:
    """As it is called in configurations."""
    return str(type(channel).__struct_config__.tag)


class ChannelError(Exception):
    """A message did not get through. Says by which channel, what was found, what was expected, what to do."""

    def __init__(self, channel: Channel, found: str, expected: str, remedy: str) -> None:
        self.channel, self.found, self.expected, self.remedy = channel, found, expected, remedy
        super().__init__(
            f"channel {channel.name} ({kind_of(channel)}): found {found}, expected {expected}. {remedy}"
        )
