"""The time, as an argument. Decisions take ``now``; only the edges call :func:`utc_now`."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Now, aware, in UTC."""
    return datetime.now(UTC)
