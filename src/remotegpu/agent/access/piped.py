"""A command or SFTP server without a terminal, connected through pipes."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict, cast

from remotegpu.agent.access.hosts.terminal import Size
from remotegpu.agent.access.program import Listener, ProgramError


class RunAs(TypedDict, total=False):
    """Keyword arguments of ``subprocess.Popen``; empty: as the agent itself."""

    user: int
    group: int
    extra_groups: list[int]


async def start_piped(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: str, run_as: RunAs, listener: Listener
) -> "PipedProgram":
    """Start ``argv`` in a session of its own. Raises :class:`ProgramError` when it cannot be started."""
    loop = asyncio.get_running_loop()
    program = PipedProgram(listener)
    try:
        await loop.subprocess_exec(
            lambda: program,
            *argv,
            env=dict(env),
            cwd=cwd if Path(cwd).is_dir() else "/",  # noqa: ASYNC240 — one stat of a local directory
            start_new_session=True,
            umask=0o022,
            **run_as,
        )
    except OSError as error:
        raise ProgramError(f"cannot start {argv[0]}: {error.strerror}") from error
    return program


class PipedProgram(asyncio.SubprocessProtocol):
    """The process leads its own group, so that a signal reaches what it started too."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._transport: asyncio.SubprocessTransport | None = None

    # -- asyncio's side -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self._listener.on_error_output(data)
        else:
            self._listener.on_output(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — asyncio names it
        """All pipes are closed and the process was reaped."""
        code = self._transport.get_returncode() if self._transport else None
        self._listener.on_exit(code if code is not None else -signal.SIGKILL)

    def pause_writing(self) -> None:
        self._listener.pause_input()

    def resume_writing(self) -> None:
        # Not from inside the transport: more input, or its end, arriving there makes asyncio's pipe transport close
        # with bytes still unsent (it looks at "closing" after this call without looking at its buffer again).
        asyncio.get_running_loop().call_soon(self._listener.resume_input)

    # -- the session's side -------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        stdin = self._pipe(0)
        if stdin is not None and not stdin.is_closing():
            cast("asyncio.WriteTransport", stdin).write(data)

    def write_eof(self) -> None:
        stdin = self._pipe(0)
        if stdin is not None:
            stdin.close()

    def resize(self, size: Size) -> None:
        """A pipe has no size."""

    def signal(self, number: int) -> None:
        if self._transport is None or self._transport.get_returncode() is not None:
            return
        try:
            os.killpg(self._transport.get_pid(), number)
        except ProcessLookupError:
            return

    def pause_output(self) -> None:
        for pipe in self._outputs():
            pipe.pause_reading()

    def resume_output(self) -> None:
        for pipe in self._outputs():
            pipe.resume_reading()

    def leave(self) -> None:
        """As sshd does it, plus SIGHUP: nobody reads the output any more. ``nohup`` keeps what should stay."""
        self.signal(signal.SIGHUP)
        for fd in (0, 1, 2):
            pipe = self._pipe(fd)
            if pipe is not None:
                pipe.close()

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def _pipe(self, fd: int) -> asyncio.BaseTransport | None:
        return self._transport.get_pipe_transport(fd) if self._transport else None

    def _outputs(self) -> list[asyncio.ReadTransport]:
        pipes = (self._pipe(1), self._pipe(2))
        return [
            cast("asyncio.ReadTransport", pipe)
            for pipe in pipes
            if pipe is not None and not pipe.is_closing()
        ]
