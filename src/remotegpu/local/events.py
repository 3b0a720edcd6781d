"""What the supervisor tells whoever started it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Something worth a line: ``service`` became ``what`` after ``seconds``."""

    service: str
    what: str
    seconds: float


Report = Callable[[Event], None]
