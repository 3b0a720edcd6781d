"""The browser's terminal: this process is an SSH client of the agent, over a stream, with a throw-away certificate."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import asyncssh
import msgspec

from remotegpu.kit.stream_transport import StreamTransport
from remotegpu.protocol import streams as wire
from remotegpu.server.domains.access import streams
from remotegpu.server.domains.access.streams import Channel, Traffic

HANDSHAKE_SECONDS = 10
SHELL_SECONDS = 20
"""A new account may be made first."""
TAKEN_OVER = "this shell was opened in another window"
MACHINE_LOST = "the connection to the machine was lost"
CLOSE_CODES = {TAKEN_OVER: wire.CLOSE_TAKEN_OVER, MACHINE_LOST: wire.CLOSE_UNREACHABLE}
"""Endings that tell the browser more than that it is over."""


class Resize(msgspec.Struct, tag_field="type", tag="resize"):
    """The browser's terminal has another size, in character cells."""

    cols: int
    rows: int


class Control(msgspec.Struct, omit_defaults=True):
    """What the server tells the browser's terminal besides output."""

    type: Literal["ready", "exit", "closed"]
    session_id: str = ""
    shell: str = ""
    resumed: bool = False
    code: int | None = None
    reason: str = ""


class ShellEvent(msgspec.Struct):
    """What the agent says about a persistent shell, a JSON line on the error stream."""

    resumed: bool = False
    taken_over: bool = False


@dataclass(frozen=True, kw_only=True)
class Shell:
    """Which account, whose certificate, which persistent shell, how large."""

    account: str
    host_key: str
    key: asyncssh.SSHKey
    certificate: asyncssh.SSHCertificate
    shell: str
    cols: int
    rows: int


async def run(person: Channel, agent: Channel, shell: Shell, session_id: str, traffic: Traffic) -> str:
    """Serve one terminal until the shell, the person or the machine ends it. Returns why."""
    tunnel = _Tunnel(agent)
    try:
        return await _connect_and_converse(tunnel, person, shell, session_id, traffic)
    finally:
        await tunnel.end()


async def _connect_and_converse(
    tunnel: "_Tunnel", person: Channel, shell: Shell, session_id: str, traffic: Traffic
) -> str:
    try:
        connection = await _connect(tunnel, shell)
    except (TimeoutError, asyncssh.ConnectionLost):
        return MACHINE_LOST
    except (asyncssh.Error, OSError) as error:
        return f"the machine's SSH server refused: {error}"
    try:
        return await _converse(connection, person, shell, session_id, traffic)
    except (asyncssh.Error, OSError):
        return MACHINE_LOST
    finally:
        connection.abort()


async def _converse(
    connection: asyncssh.SSHClientConnection, person: Channel, shell: Shell, session_id: str, traffic: Traffic
) -> str:
    process = await connection.create_process(
        term_type="xterm-256color",
        term_size=(shell.cols, shell.rows),
        env={wire.SHELL_ENV: shell.shell, wire.SHELL_EVENTS_ENV: "1"},
        encoding=None,
    )
    line, output = await _first(process)
    event = ShellEvent() if output and not line else _event(line)
    if event is None:
        return _refusal(line)
    ready = Control(type="ready", session_id=session_id, shell=shell.shell, resumed=event.resumed)
    await send_control(person, ready)
    return await streams.first_of(
        _outwards(output, process, person, traffic), _inwards(process, person, traffic)
    )


async def _first(process: asyncssh.SSHClientProcess[bytes]) -> tuple[bytes, bytes]:
    """The agent's first line about the shell, and output that came by then. Some agents say nothing about shells."""
    line = asyncio.create_task(process.stderr.readline())
    output = asyncio.create_task(process.stdout.read(wire.FRAME_BYTES))
    both = (line, output)
    try:
        await asyncio.wait(both, timeout=SHELL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        return line.result() if line.done() else b"", output.result() if output.done() else b""
    finally:
        line.cancel()
        output.cancel()
        await asyncio.gather(*both, return_exceptions=True)


def _event(line: bytes) -> ShellEvent | None:
    """None when the agent says something for people, which it does when it cannot start the shell."""
    try:
        return msgspec.json.decode(line, type=ShellEvent)
    except msgspec.MsgspecError:
        return None


def _refusal(line: bytes) -> str:
    said = line.decode(errors="replace").strip().removeprefix("remotegpu: ")
    return f"the machine could not open the shell: {said}" if said else MACHINE_LOST


async def _connect(tunnel: "_Tunnel", shell: Shell) -> asyncssh.SSHClientConnection:
    host_key = asyncssh.import_public_key(shell.host_key)
    async with asyncio.timeout(HANDSHAKE_SECONDS):
        return await asyncssh.connect(
            "agent",
            tunnel=tunnel,
            username=shell.account,
            client_keys=[(shell.key, shell.certificate)],
            known_hosts=([host_key], [], []),
            agent_path=None,
            config=None,
            compression_algs=None,
        )


class _Tunnel:
    """What asyncssh needs to speak through an agent's WebSocket instead of a socket."""

    logger = logging.getLogger("asyncssh")

    def __init__(self, agent: Channel) -> None:
        self._agent = agent
        self._moving: asyncio.Task[None] | None = None

    async def create_connection(
        self, factory: Callable[[], asyncssh.SSHClientConnection], _host: str, _port: int
    ) -> tuple[StreamTransport, asyncssh.SSHClientConnection]:
        """Called by asyncssh in place of the event loop's method of this name."""
        connection, transport = factory(), StreamTransport(self._agent, wire.FRAME_BYTES)
        connection.connection_made(transport)
        self._moving = asyncio.create_task(transport.run(connection), name="terminal-stream")
        return transport, connection

    async def end(self) -> None:
        """Stop moving bytes."""
        if self._moving is not None:
            self._moving.cancel()
            await asyncio.gather(self._moving, return_exceptions=True)


async def _outwards(
    begun: bytes, process: asyncssh.SSHClientProcess[bytes], person: Channel, traffic: Traffic
) -> str:
    while body := begun or await process.stdout.read(wire.FRAME_BYTES):
        begun = b""
        traffic.bytes_out += len(body)
        if not await person.send(body):
            return "closed by the user"
    last_word = _event(await process.stderr.readline())
    if last_word is not None and last_word.taken_over:
        return TAKEN_OVER
    status = process.returncode
    if status is None:
        return MACHINE_LOST
    await send_control(person, Control(type="exit", code=status))
    return f"the shell ended with code {status}"


async def _inwards(process: asyncssh.SSHClientProcess[bytes], person: Channel, traffic: Traffic) -> str:
    while (frame := await person.receive_any()) is not None:
        body, control = frame
        if body:
            traffic.bytes_in += len(body)
            process.stdin.write(body)
            await process.stdin.drain()
        elif control:
            _resize(process, control)
    return "closed by the user"


def _resize(process: asyncssh.SSHClientProcess[bytes], control: str) -> None:
    try:
        size = msgspec.json.decode(control, type=Resize)
    except msgspec.MsgspecError:
        return  # an unknown control message of a newer console: not for us
    process.change_terminal_size(min(max(size.cols, 1), 1000), min(max(size.rows, 1), 1000))


async def send_control(person: Channel, control: Control) -> None:
    """Tell the browser something; it may have left already."""
    await person.send_text(msgspec.json.encode(control).decode())
