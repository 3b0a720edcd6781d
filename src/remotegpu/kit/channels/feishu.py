"""Robots of Feishu (Lark) groups, signed where they have a secret. Pure."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

from remotegpu.kit.channels.keys import Keys
from remotegpu.kit.channels.models import Message
from remotegpu.kit.channels.requests import Refusal, Request, of_json
from remotegpu.kit.channels.splitting import split

MOST_BYTES = 18_000
"""Of one text: the whole request may have 20 000 (30 000 before), and line breaks grow in JSON."""


def requests(message: Message, keys: Keys, now: datetime) -> list[Request]:
    return [_request(message, part, keys, now) for part in split(message.text, MOST_BYTES)]


def _request(message: Message, part: str, keys: Keys, now: datetime) -> Request:
    lines: list[list[dict[str, str]]] = [[{"tag": "text", "text": line}] for line in part.split("\n")]
    if message.link:
        lines.append([{"tag": "a", "text": message.link, "href": message.link}])
    post = {"zh_cn": {"title": message.headline, "content": lines}}
    body = {"msg_type": "post", "content": {"post": post}}
    return Request(body=of_json(body | (signed(keys.secret, int(now.timestamp())) if keys.secret else {})))


def signed(secret: str, timestamp_s: int) -> dict[str, str]:
    """What is added to the body. The text to sign is the key, and nothing is signed with it: so they want it."""
    code = hmac.digest(f"{timestamp_s}\n{secret}".encode(), b"", hashlib.sha256)
    return {"timestamp": str(timestamp_s), "sign": base64.b64encode(code).decode()}


def refusal(answer: Mapping[str, object]) -> Refusal | None:
    """It answers 200 also when it refuses. Old ones say ``StatusCode``."""
    code = answer.get("code", answer.get("StatusCode"))
    if code == 0:
        return None
    remedy = (
        "See its security settings (signature, keyword, addresses), and that the clock here is right; it takes 100 "
        "messages a minute."
    )
    return Refusal(f"code {code}: {answer.get('msg', answer.get('StatusMessage'))}", remedy)
