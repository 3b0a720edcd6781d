"""Robots of DingTalk groups, signed where they have a secret. Pure."""

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
"""Of one text: the whole request may have 20 000."""


def requests(message: Message, keys: Keys, now: datetime) -> list[Request]:
    tail = f"\n[{message.link}]({message.link})" if message.link else ""
    return [_request(message, part, keys, now) for part in split(message.text + tail, MOST_BYTES)]


def _request(message: Message, part: str, keys: Keys, now: datetime) -> Request:
    """Two spaces make a new line in its Markdown."""
    text = f"### {message.headline}\n\n" + part.replace("\n", "  \n")
    body = of_json({"msgtype": "markdown", "markdown": {"title": message.headline, "text": text}})
    return Request(body=body, query=signed(keys.secret, int(now.timestamp() * 1000)) if keys.secret else {})


def signed(secret: str, timestamp_ms: int) -> dict[str, str]:
    """What is added to the URL, before it is encoded for one."""
    text = f"{timestamp_ms}\n{secret}".encode()
    code = base64.b64encode(hmac.digest(secret.encode(), text, hashlib.sha256)).decode()
    return {"timestamp": str(timestamp_ms), "sign": code}


def refusal(answer: Mapping[str, object]) -> Refusal | None:
    """It answers 200 also when it refuses."""
    code = answer.get("errcode")
    if code == 0:
        return None
    remedy = (
        "See its security settings (signature, keyword, addresses), and that the clock here is right; it takes 20 "
        "messages a minute."
    )
    return Refusal(f"errcode {code}: {answer.get('errmsg')}", remedy)
