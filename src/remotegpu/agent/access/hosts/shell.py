"""The shell host: owns one terminal, survives the agent, serves one attached connection at a time.

Everything is an event: there is no polling, and no thread.
"""

import os
import signal
import socket
import time
from types import FrameType

from remotegpu.agent.access.hosts import frames
from remotegpu.agent.access.hosts.client import Client
from remotegpu.agent.access.hosts.descendants import kill_descendants
from remotegpu.agent.access.hosts.readiness import Readiness
from remotegpu.agent.access.hosts.scrollback import Scrollback
from remotegpu.agent.access.hosts.startup import Spec, can_be_found, serve_detached
from remotegpu.agent.access.hosts.terminal import Size, Terminal

SCROLLBACK_BYTES = 1024 * 1024
KILL_PATIENCE_S = 2.0
FIRST_ATTACH_S = 30.0
"""A host whose agent never attached (it was killed in between) ends after this."""
_TAKEN_PATIENCE_S = 5.0
_NUDGE_S = 0.05
_DRAIN_S = 0.1
"""After the shell's end, output may still be on its way through the kernel, or a job in the background hold the
terminal open for ever: wait this long after the last byte."""
_INPUT_HIGH_WATER = 64 * 1024


class ShellHost:
    """The event loop. It ends when the shell does, when it is told to, or when nobody came for too long."""

    def __init__(self, spec: Spec, listener: socket.socket) -> None:
        self._spec = spec
        self._persistent = spec["persistent"]
        self._idle_s = spec["idle_s"]
        self._listener = listener
        self._wake = _signals_as_bytes()
        self._terminal = Terminal(spec["command"], spec["identity"], spec["size"])
        self._terminal_open = True
        self._scrollback = Scrollback(SCROLLBACK_BYTES)
        self._clients: set[Client] = set()
        self._attached: Client | None = None
        self._was_attached = False
        self._input = bytearray()
        self._nudge: tuple[float, Size] | None = None
        self._alone_until = time.monotonic() + FIRST_ATTACH_S
        self._lost_check_at = time.monotonic() + spec["lost_check_s"]
        self._exit_code: int | None = None
        self._drained_at = 0.0
        self._exit_sent = False
        self._ended = False

    def run(self) -> None:
        """Serve until the end."""
        ready = Readiness()
        self._listener.setblocking(False)
        ready.want(self._listener, read=True)
        ready.want(self._wake, read=True)
        while not self._ended:
            self._say_wishes(ready)
            for source, readable, writable in ready.wait(self._timeout()):
                self._on_event(ready, source, readable=readable, writable=writable)
            self._on_time(time.monotonic())

    def _say_wishes(self, ready: Readiness) -> None:
        """Read only what can be passed on: a slow reader stops the program, a stuck program stops the typing."""
        terminal = self._terminal.fd
        ready.want(terminal, read=self._reads_terminal, write=self._terminal_open and bool(self._input))
        for client in self._clients:
            full = client is self._attached and len(self._input) > _INPUT_HIGH_WATER
            ready.want(client, read=not full, write=client.wants_to_write)

    @property
    def _reads_terminal(self) -> bool:
        return self._terminal_open and not (self._attached is not None and self._attached.is_slow)

    # -- events ---------------------------------------------------------------------------------------------------

    def _on_event(self, ready: Readiness, source: object, *, readable: bool, writable: bool) -> None:
        if isinstance(source, Client):
            if source in self._clients and not self._on_client(source, readable=readable, writable=writable):
                ready.want(source)
                self._drop(source)
        elif source is self._listener:
            self._clients.add(Client(self._listener.accept()[0]))
        elif source is self._wake:
            self._on_signal(self._wake.recv(64))
        else:
            self._on_terminal(readable=readable, writable=writable)

    def _on_signal(self, numbers: bytes) -> None:
        if signal.SIGTERM in numbers:
            self._kill()
        try:
            while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                if ended[0] == self._terminal.pid:
                    self._exit_code = os.waitstatus_to_exitcode(ended[1])
                    self._drained_at = time.monotonic() + _DRAIN_S
        except ChildProcessError:
            return

    def _on_terminal(self, *, readable: bool, writable: bool) -> None:
        if writable:
            self._write_input()
        data = self._terminal.read() if readable else b""
        if data is None:
            self._terminal_open = False
        elif data:
            self._drained_at = time.monotonic() + _DRAIN_S
            self._scrollback.append(data)
            if self._attached is not None:
                self._attached.send_output(data)

    def _on_client(self, client: Client, *, readable: bool, writable: bool) -> bool:
        """False when the connection is of no further use."""
        if writable and not client.flush():
            return False
        if client.leaving_at is not None and not client.wants_to_write:
            return False
        data = client.read() if readable else b""
        if data is None:
            return False
        try:
            for kind, payload in client.frames.feed(data):
                self._on_frame(client, kind, payload)
        except (frames.FrameError, ValueError, frames.StructError):
            return False  # not our agent, or one that lost step: it connects anew
        return True

    def _on_frame(self, client: Client, kind: bytes, payload: bytes) -> None:
        if kind == frames.KILL:
            self._kill()
        elif kind == frames.ATTACH:
            self._attach(client, _size(payload))
        elif client is not self._attached:
            return  # it was taken over from: what it still types is nobody's
        elif kind == frames.INPUT:
            self._input += payload
            self._write_input()
        elif kind == frames.RESIZE:
            self._nudge = None
            self._terminal.resize(_size(payload))
        elif kind == frames.SIGNAL:
            self._terminal.signal(int(payload))

    # -- attaching ------------------------------------------------------------------------------------------------

    def _attach(self, client: Client, size: Size) -> None:
        """Replay to the new connection; tell the old one and let it go."""
        old, self._attached = self._attached, client
        if old is not None and old is not client:
            old.send(frames.TAKEN)
            old.leaving_at = time.monotonic() + _TAKEN_PATIENCE_S
        client.send(frames.HELLO, b"\1" if self._was_attached else b"\0")
        client.send_output(self._scrollback.replay())
        self._repaint(size)
        self._was_attached = True

    def _repaint(self, size: Size) -> None:
        """Full-screen programs redraw when the size moves; where it is equal, it is moved away and back.

        Line-oriented programs are left alone: the replay is all they need, and a redrawn prompt would be a second.
        """
        columns, rows, width, height = size
        if (
            self._was_attached
            and self._scrollback.alternate
            and self._terminal.size()[:2] == size[:2]
            and rows > 1
        ):
            self._terminal.resize((columns, rows - 1, width, height))
            self._nudge = (time.monotonic() + _NUDGE_S, size)
        else:
            self._terminal.resize(size)

    def _drop(self, client: Client) -> None:
        self._clients.discard(client)
        client.close()
        if client is self._attached:
            self._attached = None
            self._input.clear()
            self._alone_until = time.monotonic() + self._idle_s
            self._ended = self._ended or not self._persistent

    # -- time and end ---------------------------------------------------------------------------------------------

    def _timeout(self) -> float | None:
        """Seconds to the next thing that happens by itself; None: only events matter."""
        moments = [client.leaving_at for client in self._clients if client.leaving_at is not None]
        if self._nudge is not None:
            moments.append(self._nudge[0])
        if self._attached is None:
            moments += [self._alone_until, self._lost_check_at]
        if self._exit_code is not None and not self._exit_sent and self._reads_terminal:
            moments.append(self._drained_at)
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _on_time(self, now: float) -> None:
        if self._nudge is not None and now >= self._nudge[0]:
            self._terminal.resize(self._nudge[1])
            self._nudge = None
        if self._attached is None and (now >= self._alone_until or self._is_lost(now)):
            self._ended = True
        for client in self._clients:
            if client.leaving_at is not None and now >= client.leaving_at:
                client.give_up()
        if self._exit_code is not None:
            self._finish(now, self._exit_code)

    def _is_lost(self, now: float) -> bool:
        """Whether nobody can ever attach again, because the agent was removed from this host."""
        if now < self._lost_check_at:
            return False
        self._lost_check_at = now + self._spec["lost_check_s"]
        return not can_be_found(self._spec)

    def _finish(self, now: float, exit_code: int) -> None:
        """After the shell's end: all its output, then the exit code, then nothing more.

        A short command ends before the agent has attached: then this waits for it, within ``FIRST_ATTACH_S``.
        """
        drained = not self._terminal_open or (self._reads_terminal and now >= self._drained_at)
        if drained and self._attached is not None and not self._exit_sent:
            self._attached.send(frames.EXIT, frames.EXIT_CODE.pack(exit_code))
            self._exit_sent = True
        if (
            drained
            and self._was_attached
            and not (self._attached is not None and self._attached.wants_to_write)
        ):
            self._ended = True

    def _write_input(self) -> None:
        if self._input:
            del self._input[: self._terminal.write(bytes(self._input))]

    def _kill(self) -> None:
        """Access has ended: everything below us goes, now."""
        kill_descendants(KILL_PATIENCE_S)
        self._ended = True


def _size(payload: bytes) -> Size:
    columns, rows, width, height = frames.SIZE.unpack(payload)
    return columns, rows, width, height


def _signals_as_bytes() -> socket.socket:
    """Signals arrive as bytes of their numbers on the returned socket, so that the loop sees them as events."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.detach())
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, _arrives_on_the_socket)
    for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    return reader


def _arrives_on_the_socket(_number: int, _frame: FrameType | None) -> None:
    """A handler has to exist for the wake-up byte to be written."""


def main(_arguments: list[str]) -> int:
    """Start as described in ``startup``."""
    return serve_detached(lambda spec, listener: ShellHost(spec, listener).run())
