"""One SSH session channel: a shell, a command, SFTP, or a persistent web shell."""

import asyncio
import re
import signal
from collections.abc import Awaitable, Callable, Mapping

import asyncssh
import structlog

from remotegpu.agent.access.hosts.terminal import Size
from remotegpu.agent.access.program import Program, ProgramError, Request
from remotegpu.protocol.streams import SHELL_ENV, SHELL_EVENTS_ENV

_LOG = structlog.get_logger(__name__)
_SHELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SIGNALS = {"HUP", "INT", "QUIT", "KILL", "TERM", "USR1", "USR2", "ALRM"}
_DEFAULT_SIZE: Size = (80, 24, 0, 0)


class RequestError(ProgramError):
    """What the client asked for makes no sense; the message says what is expected."""


Launch = Callable[[Request, "AccessSession"], Awaitable[Program]]
"""Starts what a request asks for. Raises :class:`ProgramError`."""


class AccessSession(asyncssh.SSHServerSession[bytes]):
    """Connects the channel to a program, with back-pressure both ways."""

    def __init__(self, launch: Launch, on_closed: Callable[["AccessSession"], None]) -> None:
        self._launch = launch
        self._on_closed = on_closed
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._program: Program | None = None
        self._early_input: list[bytes] = []
        self._early_eof = False
        self._wants: tuple[str | None, bool] = (None, False)
        self._term: str | None = None
        self._size = self._asked_size = _DEFAULT_SIZE
        self._output_paused = False
        self._killed = False
        self._starting: asyncio.Task[None] | None = None
        self._wants_events = False

    # -- asyncssh's side ------------------------------------------------------------------------------------------

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def pty_requested(self, term_type: str, term_size: Size, term_modes: Mapping[int, int]) -> bool:  # noqa: ARG002
        self._term = term_type
        self._size = term_size if term_size[0] and term_size[1] else _DEFAULT_SIZE
        return True

    def shell_requested(self) -> bool:
        return True

    def exec_requested(self, command: str) -> bool:
        self._wants = (command, False)
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        self._wants = (None, True)
        return subsystem == "sftp"

    def session_started(self) -> None:
        self._starting = asyncio.get_running_loop().create_task(self._start())

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:  # noqa: ARG002 — clients send one kind
        if self._program is None:
            self._early_input.append(data)  # bounded by the window the client was granted
        else:
            self._program.write(data)

    def eof_received(self) -> bool:
        """True: the channel stays open for output."""
        self._early_eof = True
        if self._program is not None:
            self._program.write_eof()
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        self._size = (width, height, pixwidth, pixheight)
        if self._program is not None:
            self._program.resize(self._size)

    def signal_received(self, signal: str) -> None:
        if signal in _SIGNALS and self._program is not None:
            self._program.signal(_number(signal))

    def break_received(self, msec: int) -> bool:  # noqa: ARG002 — a break has no meaning here
        return False

    def pause_writing(self) -> None:
        self._output_paused = True
        if self._program is not None:
            self._program.pause_output()

    def resume_writing(self) -> None:
        self._output_paused = False
        if self._program is not None:
            self._program.resume_output()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — the reason changes nothing
        self._channel = None
        if self._program is not None:
            self._program.leave()
        self._on_closed(self)

    # -- starting -------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        try:
            program = await self._launch(self._request(), self)
        except ProgramError as error:
            self._refuse(str(error))
            return
        except Exception:  # noqa: BLE001 — one broken session must not end the agent; it is logged whole
            _LOG.exception("session_failed")
            self._refuse("the session could not be started; the agent's log on the host says why")
            return
        if self._killed:
            program.kill()
        if self._channel is None:
            program.leave()
            return
        self._connect(program)

    def _connect(self, program: Program) -> None:
        """Hand over what came while it was starting."""
        self._program = program
        if self._output_paused:
            program.pause_output()
        for data in self._early_input:
            program.write(data)
        self._early_input.clear()
        if self._early_eof:
            program.write_eof()
        if self._size != self._asked_size:
            program.resize(self._size)

    def _request(self) -> Request:
        """Raises :class:`RequestError`."""
        assert self._channel is not None
        env = self._channel.get_environment()
        shell_id = env.get(SHELL_ENV)
        command, sftp = self._wants
        self._asked_size = self._size
        if shell_id is not None:
            if _SHELL_ID.fullmatch(shell_id) is None:
                raise RequestError(f"{SHELL_ENV} is {shell_id!r}, expected 1 to 64 of A-Z a-z 0-9 _ -")
            if self._term is None or command is not None or sftp:
                raise RequestError(f"{SHELL_ENV} needs a shell with a terminal, without a command")
            self._wants_events = env.get(SHELL_EVENTS_ENV) == "1"
        return Request(
            command=command, sftp=sftp, term=self._term, size=self._size, shell_id=shell_id, env=env
        )

    def _refuse(self, reason: str) -> None:
        if self._channel is not None:
            end_of_line = "\r\n" if self._term is not None else "\n"
            self._channel.write_stderr(f"remotegpu: {reason}{end_of_line}".encode())
            self._channel.exit(255)

    # -- the program's side ---------------------------------------------------------------------------------------

    def is_open(self) -> bool:
        return self._channel is not None and not self._killed

    def on_output(self, data: bytes) -> None:
        if self._channel is not None:
            self._channel.write(data)

    def on_error_output(self, data: bytes) -> None:
        if self._channel is not None:
            self._channel.write_stderr(data)

    def on_exit(self, code: int) -> None:
        if self._channel is None:
            return
        if code < 0:
            self._channel.exit_with_signal(_name(-code))
        else:
            self._channel.exit(code)

    def on_attached(self, *, resumed: bool) -> None:
        """Say whether a persistent shell was there before, to clients that asked to know."""
        if self._wants_events:
            self.on_error_output(b'{"resumed": true}\n' if resumed else b'{"resumed": false}\n')

    def on_taken_over(self) -> None:
        if self._channel is None:
            return
        if self._wants_events:
            self.on_error_output(b'{"taken_over": true}\n')
        else:
            self._channel.write(b"\r\n[this shell was opened in another window]\r\n")
        self._channel.exit_with_signal("HUP", msg="taken over by another window")

    def on_lost(self) -> None:
        if self._channel is not None:
            self._channel.exit_with_signal("KILL", msg="the terminal's process is gone")

    def pause_input(self) -> None:
        if self._channel is not None:
            self._channel.pause_reading()

    def resume_input(self) -> None:
        if self._channel is not None:
            self._channel.resume_reading()

    def kill(self) -> None:
        """Access has ended."""
        self._killed = True
        if self._program is not None:
            self._program.kill()


def _number(name: str) -> int:
    return int(getattr(signal, f"SIG{name}"))


def _name(number: int) -> str:
    """SSH names signals without SIG; unknown numbers are sent as their digits."""
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return str(number)
