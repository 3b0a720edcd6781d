"""The only place that sends. Certificates are verified, redirects are not followed, and nothing is waited for long."""

import asyncio
import smtplib
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import aiohttp
import msgspec
from yarl import URL

from remotegpu.kit import redaction
from remotegpu.kit.channels import dingtalk, feishu, keys, mail, webhook, wecom
from remotegpu.kit.channels.keys import Keys
from remotegpu.kit.channels.models import Channel, ChannelError, Email, Message, kind_of
from remotegpu.kit.channels.requests import Refusal, Request

TIMEOUT_S = 10.0
"""For one request, or for one answer of a mail server."""
MOST_ANSWER_BYTES = 65_536
SHOWN_CHARACTERS = 200
RECEIVED = "an answer that it was taken"


@dataclass(frozen=True)
class Kind:
    """How to speak with those that take HTTP."""

    requests: Callable[[Message, Keys, datetime], list[Request]]
    refusal: Callable[[Mapping[str, object]], Refusal | None]
    answers_in_json: bool = True


KINDS: dict[str, Kind] = {
    "wecom": Kind(wecom.requests, wecom.refusal),
    "dingtalk": Kind(dingtalk.requests, dingtalk.refusal),
    "feishu": Kind(feishu.requests, feishu.refusal),
    "webhook": Kind(webhook.requests, webhook.refusal, answers_in_json=False),
}


def send(channel: Channel, message: Message, now: datetime, *, timeout_s: float = TIMEOUT_S) -> None:
    """Raises :class:`ChannelError` unless the other side said that it has it. Its text shows no secret."""
    found = keys.read(channel)
    readable = _readable(message)
    if isinstance(channel, Email):
        _send_mail(channel, readable, found, timeout_s)
    else:
        asyncio.run(_post_all(channel, readable, found, now, timeout_s))


def _readable(message: Message) -> Message:
    """Without halves of characters, which outputs of programs may hold and no encoding takes."""
    title, text = (part.encode("utf-8", "replace").decode() for part in (message.title, message.text))
    return msgspec.structs.replace(message, title=title, text=text)


async def _post_all(channel: Channel, message: Message, found: Keys, now: datetime, timeout_s: float) -> None:
    kind = KINDS[kind_of(channel)]
    connector = aiohttp.TCPConnector(ssl=_trust(found))
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        for request in kind.requests(message, found, now):
            await _post(session, channel, kind, request, found)


def _trust(found: Keys) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=found.ca or None)


async def _post(
    session: aiohttp.ClientSession, channel: Channel, kind: Kind, request: Request, found: Keys
) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8", **request.headers}
    url = URL(with_query(found.url, request.query), encoded=True)
    host = urlsplit(found.url).hostname
    try:
        answered = session.post(url, data=request.body, headers=headers, allow_redirects=False)
        async with answered as answer:
            body = await answer.content.read(MOST_ANSWER_BYTES)
    except TimeoutError:
        remedy = f"See whether this node reaches {host} at all."
        raise ChannelError(channel, "no answer in time", RECEIVED, remedy) from None
    except (aiohttp.ClientError, OSError) as error:
        remedy = f"See whether this node reaches {host} by TLS, and trusts its certificate."
        raise ChannelError(
            channel, _shown(str(error) or type(error).__name__, found), RECEIVED, remedy
        ) from None
    _require_taken(channel, kind, answer.status, body, found)


def with_query(url: str, query: Mapping[str, str]) -> str:
    """``url`` with more parameters. Pure."""
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"


def _require_taken(channel: Channel, kind: Kind, status: int, body: bytes, found: Keys) -> None:
    said = _shown(body.decode(errors="replace"), found)
    if not 200 <= status < 300:
        remedy = "Look at the other side; the message is for later." if status >= 500 else "Check the URL."
        raise ChannelError(channel, f"status {status}: {said}", "status 200", remedy)
    if not kind.answers_in_json:
        return
    answer = _object(body)
    if answer is None:
        raise ChannelError(channel, f"an answer that is no JSON: {said}", RECEIVED, "Check the URL.")
    refused = kind.refusal(answer)
    if refused:
        raise ChannelError(channel, _shown(refused.found, found), RECEIVED, refused.remedy)


def _object(body: bytes) -> Mapping[str, object] | None:
    try:
        answer: Any = msgspec.json.decode(body)  # Any: what JSON holds
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return cast("dict[str, object]", answer) if isinstance(answer, dict) else None


def _send_mail(channel: Email, message: Message, found: Keys, timeout_s: float) -> None:
    where = f"{channel.host}:{channel.port}"
    try:
        refused = _hand_over(channel, message, found, timeout_s)
    except (smtplib.SMTPException, OSError, UnicodeError) as error:
        # smtplib calls it a lost connection when an answer does not come, and keeps the reason below
        if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
            remedy = (
                f"See whether this node reaches {where}, and whether security ({channel.security}) fits it."
            )
            raise ChannelError(channel, f"no answer of {where} in time", RECEIVED, remedy) from None
        remedy = "Check host, port, security, user and password_file, and that the certificate is trusted."
        raise ChannelError(channel, _shown(f"{where}: {error}", found), RECEIVED, remedy) from None
    if refused:
        said = _shown(", ".join(refused), found)
        raise ChannelError(channel, f"recipients refused: {said}", "all of them taken", "Correct recipients.")


def _hand_over(channel: Email, message: Message, found: Keys, timeout_s: float) -> Mapping[str, object]:
    """Returns the recipients that were refused."""
    trust, name = _trust(found), socket.gethostname()
    server: smtplib.SMTP
    if channel.security == "tls":
        server = smtplib.SMTP_SSL(channel.host, channel.port, name, timeout=timeout_s, context=trust)
    else:
        server = smtplib.SMTP(channel.host, channel.port, name, timeout=timeout_s)
    with server:
        if channel.security == "starttls":
            server.starttls(context=trust)
        if channel.user:
            server.login(channel.user, found.password)
        return server.send_message(mail.compose(channel, message))


def _shown(text: str, found: Keys) -> str:
    """One short line without a secret."""
    safe = redaction.redactor(found.hidden)(text)
    return " ".join(safe.split())[:SHOWN_CHARACTERS]
