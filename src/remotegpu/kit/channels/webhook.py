"""Programs of somebody's own: JSON, signed. Any status from 200 to 299 is a yes. Pure."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from remotegpu.kit.channels import standard_webhooks
from remotegpu.kit.channels.keys import Keys
from remotegpu.kit.channels.models import Message
from remotegpu.kit.channels.requests import Refusal, Request, of_json

TYPE = "remotegpu.alert"


def requests(message: Message, keys: Keys, now: datetime) -> list[Request]:
    """``webhook-id`` stays the same when it is sent again, so that the other side can tell."""
    body = of_json({"type": TYPE, "timestamp": message.at, "data": msgspec.to_builtins(message)})
    seconds = int(now.timestamp())
    headers = {
        "webhook-id": message.id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": standard_webhooks.signature(keys.secret, message.id, seconds, body),
    }
    return [Request(body=body, headers=headers)]


def refusal(_answer: Mapping[str, object]) -> Refusal | None:
    """Its status said it all."""
    return None
