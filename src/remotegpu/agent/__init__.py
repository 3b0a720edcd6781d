"""The program on a GPU host: makes the host match the desired state the server holds for it."""

import sys

# structlog loads rich, pygments and greenlet wherever they are installed, for console tracebacks and context that the
# agent has no use for. They would be a tenth of its memory.
if "structlog" not in sys.modules:
    unwanted = [name for name in ("rich", "greenlet") if name not in sys.modules]
    for name in unwanted:
        sys.modules[name] = None  # pyright: ignore[reportArgumentType] — the documented way to make an import fail
    import structlog as structlog  # loaded here for its side effect

    for name in unwanted:
        del sys.modules[name]
