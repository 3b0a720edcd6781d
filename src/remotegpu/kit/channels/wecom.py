"""Robots of WeCom groups: Markdown of at most 4096 bytes, 20 messages a minute. Pure."""

from collections.abc import Mapping
from datetime import datetime

from remotegpu.kit.channels.keys import Keys
from remotegpu.kit.channels.models import Level, Message
from remotegpu.kit.channels.requests import Refusal, Request, of_json
from remotegpu.kit.channels.splitting import split

MOST_BYTES = 4096
RATE_LIMITED = 45009
COLOURS: dict[Level, str] = {"problem": "warning", "resolved": "info", "info": "comment"}


def requests(message: Message, _keys: Keys, _now: datetime) -> list[Request]:
    """One for each part; every part says which it is."""
    tail = f"\n[{message.link}]({message.link})" if message.link else ""
    room = MOST_BYTES - len(_head(message, "(99/99)").encode())
    parts = split(message.text + tail, room)
    marks = [f"({number}/{len(parts)})" if len(parts) > 1 else "" for number in range(1, len(parts) + 1)]
    return [_request(_head(message, mark) + part) for mark, part in zip(marks, parts, strict=True)]


def _head(message: Message, mark: str) -> str:
    return (
        f'**<font color="{COLOURS[message.level]}">{message.headline[:200]}</font>** {mark}'.rstrip() + "\n"
    )


def _request(content: str) -> Request:
    return Request(body=of_json({"msgtype": "markdown", "markdown": {"content": content}}))


def refusal(answer: Mapping[str, object]) -> Refusal | None:
    """It answers 200 also when it refuses."""
    code = answer.get("errcode")
    if code == 0:
        return None
    remedy = (
        "It takes 20 messages a minute; this one is for later."
        if code == RATE_LIMITED
        else "Look whether the robot is still in its group, and whether the URL is the one shown there."
    )
    return Refusal(f"errcode {code}: {answer.get('errmsg')}", remedy)
