"""A GPU host that exists only as messages: it speaks the real agent protocol and runs nothing.

``sync()`` makes one exchange and is for scripted tests. ``running()`` keeps the conversation going as a real agent
does (one standing poll, and a word at once when there is news) and acts on what is desired through three policies:
``work`` (what becomes of an attempt), ``wipe`` (what becomes of an account) and ``serve`` (who answers a stream).
Light enough for thousands in one process: they may share one HTTP session.
"""

import asyncio
import contextlib
import hashlib
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import aiohttp
import asyncssh
import msgspec

from remotegpu.agent.access.authorization import authorized_keys
from remotegpu.kit.stream_transport import StreamTransport
from remotegpu.protocol.attempts import (
    ArtifactFile,
    ArtifactOffer,
    ArtifactUpload,
    AttemptReport,
    AttemptSpec,
    FinalState,
    LogAck,
)
from remotegpu.protocol.enrolment import EnrolRequest, EnrolResponse, TokenRotation
from remotegpu.protocol.inventory import GpuFacts, GpuSample, HostSample, Inventory
from remotegpu.protocol.streams import FRAME_BYTES
from remotegpu.protocol.sync import (
    AccountCleanup,
    AccountReport,
    DesiredState,
    StreamSpec,
    SyncRequest,
    SyncResponse,
)
from remotegpu.protocol.version import PROTOCOL_HEADER, PROTOCOL_VERSION

T = TypeVar("T")

RETRY_S = 0.2
HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
"""Every simulated host has the same: making one per host would be most of a fleet's start."""
HOST_KEY_LINE = HOST_KEY.export_public_key().decode().strip()


class RefusedError(Exception):
    """The server answered with a problem."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        try:
            problem = msgspec.json.decode(body)
        except msgspec.DecodeError:
            problem = {}
        self.code, self.detail = str(problem.get("code", "")), str(problem.get("detail", body[:300]))
        super().__init__(f"{status} {self.code}: {self.detail}")


def simulated_inventory(name: str, gpus: int = 2, **changes: Any) -> Inventory:
    """Facts of a host with ``gpus`` simulated GPUs."""
    facts = [
        GpuFacts(
            index=i, uuid=f"SIM-{name}-{i}", model="Simulated GPU", memory_bytes=80 << 30, simulated=True
        )
        for i in range(gpus)
    ]
    inventory = Inventory(
        hostname=name,
        os="Debian GNU/Linux 12",
        kernel="6.1.0",
        architecture="x86_64",
        cpu_model="Simulated CPU",
        cpu_cores=4,
        cpu_threads=8,
        memory_bytes=64 << 30,
        disks=[],
        nics=[],
        gpus=facts,
        ssh_host_key=HOST_KEY_LINE,
    )
    return msgspec.structs.replace(inventory, **changes)


def simulated_sample(gpus: int = 2, *, processes: int = 0, taken_at: float | None = None) -> HostSample:
    """Live figures; ``processes`` of them on each GPU."""
    figures = [
        GpuSample(index=i, uuid=f"SIM-{i}", utilization_ratio=0.5, processes=processes) for i in range(gpus)
    ]
    return HostSample(
        taken_at=time.time() if taken_at is None else taken_at,
        cpu_ratio=0.25,
        memory_used_bytes=8 << 30,
        memory_total_bytes=64 << 30,
        load_1m=1.0,
        gpus=figures,
    )


@dataclass
class SimulatedAgent:
    """One host. ``reports`` and ``accounts`` are its word on what is; ``desired`` the last document it was given."""

    http: aiohttp.ClientSession
    server_url: str
    name: str
    machine_id: str = ""
    token: str = ""
    inventory: Inventory | None = None
    protocol_version: str = PROTOCOL_VERSION
    clock: Callable[[], float] = time.time
    via: dict[str, str] = field(default_factory=dict[str, str])
    """URL of each server instance, for streams; a proxy does this in a real installation."""
    work: "Work | None" = None
    wipe: "Wipe | None" = None
    serve: "Serve | None" = None
    sample: Callable[[], HostSample | None] = lambda: None

    desired: DesiredState | None = None
    applied: int = -1
    reports: dict[str, AttemptReport] = field(default_factory=dict[str, AttemptReport])
    accounts: dict[tuple[str, str], AccountReport] = field(
        default_factory=dict[tuple[str, str], AccountReport]
    )
    refused: set[str] = field(default_factory=set[str])
    starts: list[str] = field(default_factory=list[str])
    """Every attempt that was begun, in order: none may stand here twice."""
    exchanges: int = 0
    boot_id: str = field(default_factory=lambda: secrets.token_hex(8))

    def __post_init__(self) -> None:
        self.inventory = self.inventory or simulated_inventory(self.name)
        self._news = asyncio.Event()
        self._changed = asyncio.Condition()
        self._stops: dict[str, asyncio.Event] = {}
        self._taken: set[str] = set()
        self._acting: set[asyncio.Task[None]] = set()
        self._acknowledged_hash = ""

    # -- calls ----------------------------------------------------------------------------------------------------

    async def call(self, path: str, body: msgspec.Struct | bytes | None, kind: type[T], **headers: str) -> T:
        """POST to ``/api/v1/agent``. Raises :class:`RefusedError` for anything but success."""
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body) if body is not None else b""
        sent = {PROTOCOL_HEADER: self.protocol_version, "Content-Type": "application/json", **headers}
        if self.token:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        url = f"{self.server_url}/api/v1/agent{path}"
        async with self.http.post(url, data=raw, headers=sent) as response:
            content = await response.read()
            if response.status >= 300:
                raise RefusedError(response.status, content)
            return msgspec.json.decode(content, type=kind)

    async def enrol(self, join_token: str) -> Self:
        """Exchange a join token for this host's own."""
        assert self.inventory is not None
        request = EnrolRequest(
            join_token=join_token,
            name=self.name,
            protocol_version=self.protocol_version,
            agent_version="0.0.0-simulated",
            inventory=self.inventory,
        )
        answer = await self.call("/enroll", request, EnrolResponse)
        self.machine_id, self.token = answer.machine_id, answer.agent_token
        return self

    async def rotate_token(self) -> TokenRotation:
        """Fetch the next token; ``token`` stays what it was."""
        return await self.call("/token", None, TokenRotation)

    async def sync(self, *, wait: bool = False, **changes: Any) -> SyncResponse:
        """One exchange with everything this host has to say. ``changes`` replace fields of the request."""
        request = msgspec.structs.replace(self._request(wait=wait), **changes)
        answer = await self.call("/sync", request, SyncResponse)
        self.exchanges += 1
        self._acknowledged_hash = "" if answer.want_inventory else request.inventory_hash
        self.refused.update(answer.refused_attempts)
        for attempt_id in answer.refused_attempts:
            self._forget(attempt_id)
            self._act(self._tell_changed())
        if answer.desired is not None:
            self._apply(answer.desired, asked=request.applied_revision)
        return answer

    def _request(self, *, wait: bool) -> SyncRequest:
        digest = hashlib.sha256(msgspec.json.encode(self.inventory)).hexdigest()
        return SyncRequest(
            agent_version="0.0.0-simulated",
            protocol_version=self.protocol_version,
            boot_id=self.boot_id,
            applied_revision=self.applied,
            clock=self.clock(),
            wait=wait,
            inventory=None if digest == self._acknowledged_hash else self.inventory,
            inventory_hash=digest,
            sample=self.sample(),
            accounts=list(self.accounts.values()),
            attempts=list(self.reports.values()),
        )

    async def push_log(self, attempt_id: str, body: bytes, *, offset: int, final: bool = False) -> LogAck:
        """One piece of a log."""
        path = f"/attempts/{attempt_id}/log?offset={offset}&final={int(final)}"
        return await self.call(path, body, LogAck, **{"Content-Type": "application/octet-stream"})

    async def send_log(self, attempt_id: str, body: bytes, chunk: int = 65_536) -> None:
        """A whole log in pieces, going on from wherever the server wants."""
        offset = 0
        while True:
            piece = body[offset : offset + chunk]
            final = offset + len(piece) >= len(body)
            ack = await self.push_log(attempt_id, piece, offset=offset, final=final)
            offset = ack.next_offset
            if final and ack.accepted:
                return

    async def upload(self, attempt_id: str, files: dict[str, bytes]) -> list[ArtifactFile]:
        """Offer files, put them into the object store, return what the final report lists."""
        offered = {
            path: ArtifactFile(path=path, size_bytes=len(body), sha256=hashlib.sha256(body).hexdigest())
            for path, body in files.items()
        }
        offer = ArtifactOffer(files=list(offered.values()))
        answer = await self.call(f"/attempts/{attempt_id}/artifacts", offer, ArtifactUpload)
        for target in answer.urls:
            async with self.http.put(target.url, data=files[target.path]) as response:
                assert response.status == 200, await response.text()
        return list(offered.values())

    async def dial(self, spec: StreamSpec, **headers: str) -> aiohttp.ClientWebSocketResponse:
        """Open a stream at the instance its path names."""
        instance = spec.path.partition("via=")[2]
        sent = {PROTOCOL_HEADER: self.protocol_version, "Authorization": f"Bearer {self.token}", **headers}
        url = self.via.get(instance, self.server_url) + spec.path
        return await self.http.ws_connect(url, headers=sent, max_msg_size=4 * FRAME_BYTES)

    # -- the host's word on its attempts --------------------------------------------------------------------------

    def begin(self, attempt_id: str, **fields: Any) -> None:
        """The attempt runs now; said at once when the conversation is going on."""
        self.starts.append(attempt_id)
        self._say(AttemptReport(attempt_id=attempt_id, state="running", started_at=self.clock(), **fields))

    def finish(self, attempt_id: str, state: FinalState = "succeeded", **fields: Any) -> None:
        """The attempt has ended."""
        fields.setdefault("exit_code", 0 if state == "succeeded" else 1)
        began = self.reports.get(attempt_id)
        fields.setdefault("started_at", began.started_at if began else self.clock())
        fields.setdefault("finished_at", self.clock())
        self._say(AttemptReport(attempt_id=attempt_id, state=state, **fields))

    def _say(self, report: AttemptReport) -> None:
        if report.attempt_id not in self.refused:
            self.reports[report.attempt_id] = report
            self._news.set()

    def stop_asked(self, attempt_id: str) -> asyncio.Event:
        """Set once the server wants the attempt stopped, or forgotten."""
        return self._stops.setdefault(attempt_id, asyncio.Event())

    def spec(self, attempt_id: str) -> AttemptSpec | None:
        """What the server wants of an attempt now."""
        listed = self.desired.attempts if self.desired else []
        return next((spec for spec in listed if spec.attempt_id == attempt_id), None)

    async def until(self, condition: Callable[[Self], object], seconds: float = 10.0) -> None:
        """Wait until what is desired of this host, or said of it, fulfils ``condition``."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: bool(condition(self)))

    async def next_attempt(self, seconds: float = 10.0) -> AttemptSpec:
        """The first attempt that is desired and has not been begun."""
        await self.until(lambda agent: agent._unbegun(), seconds)
        found = self._unbegun()
        assert found is not None
        return found

    def _unbegun(self) -> AttemptSpec | None:
        listed = self.desired.attempts if self.desired else []
        return next((spec for spec in listed if spec.attempt_id not in self.reports), None)

    # -- acting on what is desired --------------------------------------------------------------------------------

    def _apply(self, desired: DesiredState, *, asked: int) -> None:
        """Polls overlap: an older answer that arrives late does not count, unless the server went back itself."""
        if desired.revision <= self.applied and asked != self.applied:
            return
        self.desired, self.applied = desired, desired.revision
        wanted = {spec.attempt_id: spec for spec in desired.attempts}
        for attempt_id in [*self.reports]:
            if attempt_id not in wanted:
                self._forget(attempt_id)
        for spec in wanted.values():
            if spec.stop:
                self.stop_asked(spec.attempt_id).set()
        self._apply_accounts(desired)
        if self._conversing:
            self._act_on(desired)
        self._act(self._tell_changed())

    async def _tell_changed(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _apply_accounts(self, desired: DesiredState) -> None:
        listed = {(spec.name, spec.allocation_id) for spec in desired.accounts}
        asked = {(cleanup.name, cleanup.allocation_id): cleanup for cleanup in desired.cleanups}
        self.accounts = {key: said for key, said in self.accounts.items() if key in listed or key in asked}
        for name, allocation_id in listed:
            said = AccountReport(name=name, allocation_id=allocation_id, state="present")
            self.accounts.setdefault((name, allocation_id), said)
        for key, cleanup in asked.items():
            if self.accounts.get(key, None) is None or self.accounts[key].state == "present":
                self.accounts[key] = (self.wipe or wiped)(cleanup)
                self._news.set()

    def _act_on(self, desired: DesiredState) -> None:
        for spec in desired.attempts:
            if self.work is not None and spec.attempt_id not in self._taken:
                self._taken.add(spec.attempt_id)
                self._act(self.work(self, spec))
        for stream in desired.streams:
            if self.serve is not None and stream.stream_id not in self._taken:
                self._taken.add(stream.stream_id)
                self._act(self._serve_stream(stream))

    async def _serve_stream(self, spec: StreamSpec) -> None:
        assert self.serve is not None
        socket = await self.dial(spec)
        try:
            await self.serve(self, socket)
        finally:
            await socket.close()

    def _forget(self, attempt_id: str) -> None:
        self.reports.pop(attempt_id, None)
        self.stop_asked(attempt_id).set()

    def _act(self, action: Awaitable[None]) -> None:
        task = asyncio.ensure_future(action)
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)

    # -- the conversation -----------------------------------------------------------------------------------------

    _conversing = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[Self]:
        """Poll and tell, until the block is left; that is as if the host were cut off."""
        self._conversing = True
        loops = [asyncio.create_task(self._poll()), asyncio.create_task(self._tell())]
        try:
            yield self
        finally:
            self._conversing = False
            tasks = [*loops, *self._acting]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _poll(self) -> None:
        while True:
            await self._exchange(wait=True)

    async def _tell(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            if not await self._exchange(wait=False):
                self._news.set()

    async def _exchange(self, *, wait: bool) -> bool:
        try:
            answer = await self.sync(wait=wait)
        except (RefusedError, aiohttp.ClientError, TimeoutError, OSError):
            await asyncio.sleep(RETRY_S)
            return False
        if answer.desired is None and answer.want_inventory:
            self._news.set()
        return True


Work = Callable[[SimulatedAgent, AttemptSpec], Awaitable[None]]
"""What becomes of an attempt."""
Wipe = Callable[[AccountCleanup], AccountReport]
"""What the clean-up of an account comes to."""
Serve = Callable[[SimulatedAgent, aiohttp.ClientWebSocketResponse], Awaitable[None]]
"""Serves one dialled stream to its end."""


# -- policies -----------------------------------------------------------------------------------------------------


async def succeed_at_once(agent: SimulatedAgent, spec: AttemptSpec) -> None:
    """The attempt runs for no time at all and leaves one line of log."""
    agent.begin(spec.attempt_id)
    await agent.send_log(spec.attempt_id, b"done\n")
    agent.finish(spec.attempt_id)


async def run_until_stopped(agent: SimulatedAgent, spec: AttemptSpec) -> None:
    """The attempt runs until the server wants it stopped."""
    if not spec.stop:
        agent.begin(spec.attempt_id)
    await agent.stop_asked(spec.attempt_id).wait()
    if agent.spec(spec.attempt_id) is not None:
        agent.finish(spec.attempt_id, "stopped", exit_code=-15)


def wiped(cleanup: AccountCleanup) -> AccountReport:
    """Gone without a trace."""
    return AccountReport(name=cleanup.name, allocation_id=cleanup.allocation_id, state="absent")


async def echo(_agent: SimulatedAgent, socket: aiohttp.ClientWebSocketResponse) -> None:
    """Send back every byte."""
    async for message in socket:
        if message.type is aiohttp.WSMsgType.BINARY:
            await socket.send_bytes(message.data)


async def ssh(agent: SimulatedAgent, socket: aiohttp.ClientWebSocketResponse) -> None:
    """A real SSH server that lets in whom the desired state lets in, and answers lines instead of running them."""
    server = _Doorkeeper(agent)
    options = await asyncssh.SSHServerConnectionOptions.construct(
        server_factory=lambda: server,
        server_host_keys=[HOST_KEY],
        process_factory=_answer_lines,
        encoding=None,
        line_editor=False,
        password_auth=False,
        kbdint_auth=False,
        gss_host=None,
    )
    transport = StreamTransport(_Frames(socket), FRAME_BYTES)
    connection = asyncssh.SSHServerConnection(asyncio.get_running_loop(), options)
    connection.connection_made(transport)
    await transport.run(connection)


@dataclass
class _Frames:
    socket: aiohttp.ClientWebSocketResponse

    async def send(self, body: bytes) -> bool:
        try:
            await self.socket.send_bytes(body)
        except (aiohttp.ClientError, ConnectionError):
            return False
        return True

    async def receive(self) -> bytes | None:
        message = await self.socket.receive()
        return message.data if message.type is aiohttp.WSMsgType.BINARY else None


class _Doorkeeper(asyncssh.SSHServer):
    def __init__(self, agent: SimulatedAgent) -> None:
        self._agent = agent
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        desired = self._agent.desired
        assert desired is not None
        assert self._connection is not None
        account = next((account for account in desired.accounts if account.name == username), None)
        keys = authorized_keys(account, desired.ssh_ca_keys) if account else None
        self._connection.set_authorized_keys(keys or asyncssh.SSHAuthorizedKeys())
        return True

    def public_key_auth_supported(self) -> bool:
        return True


async def _answer_lines(process: "asyncssh.SSHServerProcess[bytes]") -> None:
    """``exit N`` ends with N, ``flood N`` writes N bytes, a new size is told, anything else comes back."""
    columns, rows, *_ = process.term_size
    process.stdout.write(f"size {columns}x{rows}\n".encode())
    while True:
        try:
            line = (await process.stdin.readline()).strip()
        except asyncssh.TerminalSizeChanged as change:
            process.stdout.write(f"size {change.width}x{change.height}\n".encode())
            continue
        except asyncssh.BreakReceived:
            continue
        word, _, argument = line.partition(b" ")
        if not line or word == b"exit":
            process.exit(int(argument or 0))
            return
        process.stdout.write(b"x" * int(argument) if word == b"flood" else b"you said " + line + b"\n")
        await process.stdout.drain()
