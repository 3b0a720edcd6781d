"""E-mail as plain text. Pure."""

import re
from email.message import EmailMessage
from email.utils import format_datetime

from remotegpu.kit.channels.models import Email, Message


def compose(channel: Email, message: Message) -> EmailMessage:
    """``Message-ID`` stays the same when it is sent again, so that mail programs show it once."""
    mail = EmailMessage()
    mail["From"] = channel.sender
    mail["To"] = ", ".join(channel.recipients)
    mail["Subject"] = message.headline
    mail["Date"] = format_datetime(message.at)
    mail["Message-ID"] = f"<{_word(message.id)}@{_word(message.source)}.remotegpu.invalid>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text + (f"\n\n{message.link}" if message.link else "") + "\n")
    return mail


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip(".-") or "message"
