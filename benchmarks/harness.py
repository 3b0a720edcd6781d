"""What every benchmark needs: the services, a server, machines in the database, a fast client, statistics as JSON."""

import asyncio
import contextlib
import json
import os
import platform
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psutil
import psycopg

from remotegpu.kit.ids import new_secret, secret_hash, uuid7
from remotegpu.local.prepare import Tuning
from remotegpu.local.services import Services
from remotegpu.protocol.inventory import GpuSample, HostSample
from remotegpu.protocol.sync import SyncRequest
from remotegpu.protocol.version import PROTOCOL_HEADER, PROTOCOL_VERSION

START_SECONDS = 60.0
INVENTORY_HASH = "benchmark"


def raise_file_limit() -> None:
    """As many connections as the system allows this process."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Program:
    """A process that listens on ``port``, its log in ``log``."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def rss_mib(self) -> float:
        """Resident memory of the process and its children."""
        root = psutil.Process(self.process.pid)
        return sum(one.memory_info().rss for one in [root, *root.children(recursive=True)]) / 2**20

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=5)


@dataclass
class Site:
    """Services of one benchmark in a directory of its own."""

    directory: Path
    env: dict[str, str]
    services: Services
    programs: list[Program] = field(default_factory=list)

    def start(self, *arguments: str, env: dict[str, str] | None = None, port: int | None = None) -> Program:
        """Start ``python ARGUMENTS`` with the site's environment."""
        chosen = port or free_port()
        log = self.directory / f"program-{len(self.programs)}.log"
        extra = {
            "SERVER_PORT": str(chosen),
            "PUBLIC_URL": f"http://127.0.0.1:{chosen}",
            "LOG_LEVEL": "warning",
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                env={**os.environ, **self.env, **extra, **(env or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        program = Program(process, chosen, log)
        self.programs.append(program)
        return program

    def server(self, **env: str) -> Program:
        """A RemoteGPU server that is ready."""
        program = self.start("-m", "remotegpu.cli.main", "server", "run", env=env)
        wait_for(program, "/health/ready")
        return program

    def remotegpu(self, *arguments: str) -> str:
        """Run one ``remotegpu`` command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "remotegpu.cli.main", *arguments],
            env={**os.environ, **self.env},
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def database(self) -> psycopg.Connection:
        """The owner's connection, for filling tables quickly."""
        return psycopg.connect(
            host=self.env["DB_HOST"],
            port=self.env["DB_PORT"],
            dbname=self.env["DB_NAME"],
            user=self.env["DB_OWNER_USER"],
            password=self.env["DB_OWNER_PASSWORD"],
        )


def wait_for(program: Program, path: str) -> None:
    """Until ``path`` answers 200. Raises with the log's end when it does not."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and program.process.poll() is None:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", program.port), timeout=5) as asked,
        ):
            asked.sendall(f"GET {path} HTTP/1.1\r\nHost: benchmark\r\nConnection: close\r\n\r\n".encode())
            if asked.recv(64).startswith(b"HTTP/1.1 200"):
                return
        time.sleep(0.05)
    raise RuntimeError(f"{path} did not answer:\n{program.log.read_text(errors='replace')[-3000:]}")


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """Fresh services with a migrated database; all of it is gone afterwards."""
    raise_file_limit()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # stopped from outside: still clean up
    directory = Path(tempfile.mkdtemp(prefix="remotegpu-benchmark-"))
    directory.chmod(0o755)  # as root, PostgreSQL runs as another account
    services = Services(directory / "services", Tuning(durable=True, max_connections=200))
    services.start()
    running = Site(directory, services.environment(), services)
    try:
        running.remotegpu("server", "migrate")
        yield running
    except BaseException:
        for program in running.programs:
            sys.stderr.write(
                f"== {program.process.args}\n{program.log.read_text(errors='replace')[-3000:]}\n"
            )
        raise
    finally:
        for program in running.programs:
            program.stop()
        services.stop()
        shutil.rmtree(directory, ignore_errors=True)


@dataclass(frozen=True)
class Agent:
    machine_id: uuid.UUID
    token: str


def add_machines(running: Site, count: int, state: str = "online") -> list[Agent]:
    """``count`` reachable machines with eight GPUs each, written straight into the tables."""
    agents = [Agent(uuid7(), new_secret("rgn_")) for _ in range(count)]
    with running.database() as connection, connection.cursor() as cursor:
        columns = (
            "id, name, state, maintenance, region, revision, applied_revision, reachable, reachability_since,"
            " last_seen_at, agent_version, protocol_version, boot_id, inventory_hash, simulated, isolation,"
            " gpu_count, gpu_model, gpu_memory_bytes, cpu_threads, memory_bytes, os, driver_version,"
            " rotation_requested, created_at"
        )
        with cursor.copy(f"COPY machines ({columns}) FROM STDIN") as copy:
            for number, agent in enumerate(agents):
                copy.write_row(_machine_row(number, agent, state))
        with cursor.copy("COPY node_tokens (id, machine_id, token_hash, created_at) FROM STDIN") as copy:
            for agent in agents:
                copy.write_row((uuid7(), agent.machine_id, secret_hash(agent.token), "now"))
    return agents


def _machine_row(number: int, agent: Agent, state: str) -> tuple[object, ...]:
    models = ("NVIDIA H100 80GB HBM3", "NVIDIA H200", "NVIDIA A100-SXM4-80GB", "NVIDIA L40S")
    return (
        agent.machine_id,
        f"gpu-{number:05d}",
        state,
        False,
        f"region-{number % 5}",
        1,
        1,
        True,
        "now",
        "now",
        "0.1.0",
        PROTOCOL_VERSION,
        "boot",
        INVENTORY_HASH,
        False,
        "linux",
        8,
        models[number % 4],
        80 * 2**30,
        128,
        2**40,
        "Debian GNU/Linux 12 (bookworm)",
        "580.95",
        False,
        "now",
    )


def sync_body(agent: Agent, *, wait: bool, revision: int = 1, gpus: int = 8) -> bytes:
    """One poll of an agent with ``gpus`` GPUs, live figures included."""
    samples = [
        GpuSample(
            index=index,
            uuid=f"GPU-{agent.machine_id}-{index}",
            utilization_ratio=0.93,
            memory_used_bytes=70 * 2**30,
            memory_total_bytes=80 * 2**30,
            temperature_celsius=64,
            power_watts=612.5,
            power_limit_watts=700,
            sm_clock_hz=1_980_000_000,
            ecc_uncorrected=0,
            remapped_rows_pending=False,
            remapped_rows_failed=False,
            processes=1,
        )
        for index in range(gpus)
    ]
    now = time.time()
    sample = HostSample(
        taken_at=now,
        cpu_ratio=0.4,
        memory_used_bytes=2**38,
        memory_total_bytes=2**40,
        load_1m=12.0,
        gpus=samples,
    )
    return msgspec.json.encode(
        SyncRequest(
            agent_version="0.1.0",
            protocol_version=PROTOCOL_VERSION,
            boot_id="benchmark",
            applied_revision=revision,
            clock=now,
            wait=wait,
            inventory_hash=INVENTORY_HASH,
            sample=sample,
        )
    )


class RawHttp:
    """One keep-alive connection. The client costs as little as it can, so that the server is what is measured."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int) -> "RawHttp":
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        return cls(reader, writer)

    async def post(self, path: str, token: str, body: bytes) -> tuple[int, bytes]:
        self.send(path, token, body)
        return await self.answer()

    def send(self, path: str, token: str, body: bytes) -> None:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: benchmark\r\nAuthorization: Bearer {token}\r\n"
            f"{PROTOCOL_HEADER}: {PROTOCOL_VERSION}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)

    async def answer(self) -> tuple[int, bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        return int(head[9:12]), await self.reader.readexactly(length)

    def close(self) -> None:
        self.writer.close()


async def rate(connections: list[RawHttp], seconds: float, one: Callable[[int], Awaitable[None]]) -> float:
    """Calls per second with every connection calling in a loop for ``seconds``."""
    done, end = 0, time.perf_counter() + seconds

    async def loop(number: int) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await one(number)
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(loop(number) for number in range(len(connections))))
    return done / (time.perf_counter() - began)


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Milliseconds."""
    ordered = sorted(seconds)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2)

    return {
        "p50_ms": at(0.5),
        "p90_ms": at(0.9),
        "p99_ms": at(0.99),
        "max_ms": at(1.0),
        "samples": len(ordered),
    }


class Person:
    """A signed-in person."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str) -> None:
        self.http = http
        self.url = f"{url}/api/v1"
        self.headers = {"Authorization": f"Bearer {token}"}

    async def call(self, method: str, path: str, body: object = None, **query: object) -> Any:
        async with self.http.request(
            method,
            self.url + path,
            json=body,
            headers=self.headers,
            params={k: str(v) for k, v in query.items()},
        ) as answer:
            text = await answer.read()
            if answer.status >= 400:
                raise RuntimeError(f"{method} {path}: {answer.status} {text.decode(errors='replace')[:500]}")
            return json.loads(text) if text else None


async def sign_in(
    http: aiohttp.ClientSession, url: str, email: str, password: str, new_password: str
) -> Person:
    """Sign in for the first time: the password is changed."""
    async with http.post(f"{url}/api/v1/auth/login", json={"email": email, "password": password}) as answer:
        token = (await answer.json())["access_token"]
    person = Person(http, url, token)
    changed = await person.call(
        "POST", "/auth/password", {"current_password": password, "new_password": new_password}
    )
    return Person(http, url, changed["access_token"])


async def admin(running: Site, http: aiohttp.ClientSession, url: str) -> Person:
    """The first administrator, signed in."""
    email = "admin@example.com"
    made = json.loads(running.remotegpu("server", "bootstrap-admin", "--email", email, "--json"))
    return await sign_in(http, url, email, made["password"], f"Benchmark-{secrets.token_hex(8)}")


def report(name: str, goal: str, **figures: object) -> None:
    """Print one JSON document: what was measured, on what, against which goal."""
    host = {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 2),
    }
    print(json.dumps({"benchmark": name, "goal": goal, "host": host, **figures}, indent=2))
