"""WebSocket byte streams: ``GET /api/v1/agent/streams/{stream_id}?via=INSTANCE``.

Binary frames carry bytes in both directions; there are no text frames. Either side closes; the close code says why.
One frame is at most ``FRAME_BYTES``; both sides stop reading while the other end cannot take more (back-pressure).
"""

FRAME_BYTES = 64 * 1024
"""Largest payload of one frame."""

CLOSE_NORMAL = 1000
CLOSE_GOING_AWAY = 1001
"""The server restarts: dial or attach again."""
CLOSE_RESTART = 1012
"""The same, said by the server's WebSocket layer when the process is told to stop."""
CLOSE_ACCESS_ENDED = 4001
"""The lease or the right to use it has ended; the reason phrase says which. Do not reconnect."""
CLOSE_UNREACHABLE = 4002
"""The machine did not dial the stream in time. Try again later."""
CLOSE_REFUSED = 4003
"""Not allowed. Do not reconnect."""
CLOSE_TAKEN_OVER = 4004
"""Another window attached to this shell. Do not reconnect: two windows would take it from each other for ever."""

SHELL_ENV = "REMOTEGPU_SHELL"
"""SSH environment variable naming the persistent shell to attach to; absent for an ordinary SSH session."""

SHELL_EVENTS_ENV = "REMOTEGPU_SHELL_EVENTS"
"""SSH environment variable: with ``1`` the agent speaks of a persistent shell on the error stream, one JSON line each:
``{"resumed": bool}`` before any output, and ``{"taken_over": true}`` when another window attached."""
