"""dstack and GPUStack from their published packages, each in its own environment, for the same client in one run."""

import base64
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from harness import Program, Site, free_port
from remotegpu.local import roles

START_SECONDS = 180.0
VERSIONS = {"dstack": "dstack[server]==0.22.5", "gpustack": "gpustack==2.3.0"}
CACHE = Path(__file__).parent.parent / ".cache" / "rivals"


@dataclass(frozen=True)
class Rival:
    """A started rival: the request that lists its machines."""

    name: str
    version: str
    port: int
    method: str
    path: str
    authorization: str
    body: bytes


def install(name: str) -> Path:
    """The environment of a rival, made once. Raises when it cannot be installed."""
    folder = CACHE / name
    done = folder / "installed"
    if done.exists() and done.read_text() == VERSIONS[name]:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    uv = shutil.which("uv") or str(Path(__file__).parent.parent / ".tools" / "uv" / "bin" / "uv")
    subprocess.run([uv, "venv", "-q", str(folder)], check=True)
    subprocess.run(
        [uv, "pip", "install", "-q", "-p", str(folder / "bin" / "python"), VERSIONS[name]], check=True
    )
    done.write_text(VERSIONS[name])
    return folder


def dstack(running: Site) -> Rival:
    folder, port, token = install("dstack"), free_port(), "benchmark-token"
    home = running.directory / "dstack"
    home.mkdir()
    command = [
        str(folder / "bin" / "dstack"),
        "server",
        "-y",
        "-p",
        str(port),
        "--token",
        token,
        "-l",
        "error",
    ]
    program = _start(running, command, port, {"HOME": str(home), "DSTACK_SERVER_DIR": str(home / "server")})
    rival = Rival(
        "dstack fleets/list",
        VERSIONS["dstack"],
        port,
        "POST",
        "/api/project/main/fleets/list",
        f"Bearer {token}",
        b"{}",
    )
    _wait(program, rival)
    return rival


def gpustack(running: Site) -> Rival:
    folder, port, api_port = install("gpustack"), free_port(), free_port()
    home = running.directory / "gpustack"
    home.mkdir()
    password = "Benchmark-1234"
    command = [str(folder / "bin" / "gpustack"), "start", "--port", str(port), "--api-port", str(api_port)]
    command += ["--data-dir", str(home), "--disable-worker", "--bootstrap-password", password]
    command += ["--gateway-mode", "disabled", "--database-url", _database(running, "gpustack")]
    program = _start(running, command, port, {"HOME": str(home)})
    basic = base64.b64encode(f"admin:{password}".encode()).decode()
    rival = Rival(
        "GPUStack /v2/workers", VERSIONS["gpustack"], api_port, "GET", "/v2/workers", f"Basic {basic}", b""
    )
    _wait(program, rival)
    return rival


def _database(running: Site, name: str) -> str:
    """A database of its own on the PostgreSQL that RemoteGPU uses in the same run."""
    where = running.services.site
    roles.create(where.ports["postgres"], where.secrets, name)
    env = running.env
    return f"postgresql://{env['DB_OWNER_USER']}:{env['DB_OWNER_PASSWORD']}@{env['DB_HOST']}:{env['DB_PORT']}/{name}"


def _start(running: Site, command: list[str], port: int, env: dict[str, str]) -> Program:
    log = running.directory / f"{Path(command[0]).name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **env},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    program = Program(process, port, log)
    running.programs.append(program)
    return program


def _wait(program: Program, rival: Rival) -> None:
    """Until the list answers 200. Raises with the end of the rival's log."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{rival.port}{rival.path}",
        data=rival.body or None,
        method=rival.method,
        headers={"Authorization": rival.authorization, "Content-Type": "application/json"},
    )
    deadline, problem = time.monotonic() + START_SECONDS, "no answer"
    while time.monotonic() < deadline and program.process.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError) as error:
            problem = str(error)
        time.sleep(1)
    tail = program.log.read_text(errors="replace")[-1500:]
    raise RuntimeError(f"{rival.name} did not start within {START_SECONDS:g} s ({problem}):\n{tail}")
