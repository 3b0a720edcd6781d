"""JSON lines on stdout, one per event: ``time``, ``level``, ``msg`` and the event's own fields."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_SHARED: list[structlog.typing.Processor] = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    structlog.processors.format_exc_info,
    structlog.processors.EventRenamer("msg"),
]


def configure(level: str) -> None:
    """For our own events at ``level``, and for libraries' warnings."""
    structlog.configure(
        processors=[*_SHARED, _ordered, structlog.processors.JSONRenderer(ensure_ascii=False)],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    foreign = logging.StreamHandler(sys.stdout)
    foreign.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *_SHARED],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _ordered,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    logging.basicConfig(handlers=[foreign], level=logging.WARNING, force=True)


def _ordered(
    _logger: object,
    _method: str,
    event: MutableMapping[str, Any],  # Any: structlog's own type of an event
) -> MutableMapping[str, Any]:
    """Time, level and message first: people read these lines too."""
    first = {key: event.pop(key) for key in ("time", "level", "msg") if key in event}
    return {**first, **event}
