"""JSON logs with exactly the fields of the deployment plan, section 4.4: time, level, msg, then context."""

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from remotegpu.server.core import context


def add_request(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Request and user ids on every line written below a request."""
    current = context.current()
    if current.request_id:
        event.setdefault("request_id", current.request_id)
    if current.caller is not None:
        event.setdefault("user_id", str(current.caller.user_id))
    return event


def configure(level: str, program: str) -> None:
    """Everything, also the standard library's loggers, as one JSON object per line on stdout."""
    shared: list[Any] = [  # Any: structlog processors differ in their logger argument
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        add_request,
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("msg"),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(program=program)
    output = logging.StreamHandler(sys.stdout)
    output.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [output]
    root.setLevel(level.upper())
    for noisy in ("asyncssh", "websockets", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
