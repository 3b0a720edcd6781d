"""Makes ``.venv`` from ``requirements.lock``; a second call is instant.

Needs only the standard library and a network or wheel cache. Run through ``scripts/bootstrap``, which picks the
Python. ``uv`` comes from PATH, else it is installed into ``.tools/uv`` with the hashes of ``scripts/uv.lock``.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
STAMP = VENV / ".bootstrapped"
OLDEST_UV = (0, 5, 0)
"""`uv pip sync --require-hashes` and universal lock files work from here on."""

UV_SETTINGS = {
    "UV_PYTHON_DOWNLOADS": "never",
    "UV_LINK_MODE": "copy",
    "UV_COMPILE_BYTECODE": "1",  # three seconds here; without it each first start of each program is slow
}

NO_INSTALLER = """\
bootstrap: found no uv, and {python} could not install it; expected uv, pip or venv, and a reachable package index.
Do next: as root run `apt-get install python3-venv` (or put uv on PATH), then run the same make command again."""


def main() -> int:
    """Brings ``.venv`` up to the lock file. Returns the exit status; 1 comes with a message on stderr."""
    wanted = fingerprint()
    if is_current(wanted):
        return 0
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "bootstrap.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two make commands at once: the second waits, then finds it done
        if is_current(wanted):
            return 0
        uv = find_uv()
        if uv is None:
            print(NO_INSTALLER.format(python=sys.executable), file=sys.stderr)
            return 1
        return install(uv, wanted)


def fingerprint() -> str:
    """Changes with everything that decides what ``.venv`` must hold, and with where it must work."""
    digest = hashlib.sha256(f"{ROOT}\n{sys.version}\n".encode())
    for name in ("requirements.lock", "pyproject.toml", "scripts/bootstrap.py"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def is_current(wanted: str) -> bool:
    """False too when the interpreter behind ``.venv`` was removed (its link dangles)."""
    return STAMP.is_file() and STAMP.read_text() == wanted and os.access(VENV / "bin/python", os.X_OK)


def install(uv: str, wanted: str) -> int:
    """Makes the environment exactly the lock file's, then adds the project itself, editable."""
    python = VENV / "bin/python"
    STAMP.unlink(missing_ok=True)
    environment = {**os.environ, **UV_SETTINGS}
    environment.pop("VIRTUAL_ENV", None)
    into = ["--quiet", "--python", str(python)]
    commands = [
        [uv, "pip", "sync", *into, "--require-hashes", "requirements.lock"],
        [uv, "pip", "install", *into, "--no-deps", "--no-build-isolation", "--editable", "."],
    ]
    if not has_same_python(python):
        commands.insert(0, [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(VENV)])
    print("bootstrap: installing the locked packages into .venv", flush=True)
    for command in commands:
        status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        if status:
            print(
                f"bootstrap: `{' '.join(command)}` ended with {status}; its message is above.",
                file=sys.stderr,
            )
            print("Do next: check the network or the package index, then run again.", file=sys.stderr)
            return 1
    STAMP.write_text(wanted)
    return 0


def has_same_python(python: Path) -> bool:
    """Whether ``.venv`` runs and is of the version that would make it now."""
    if not os.access(python, os.X_OK):
        return False
    probe = subprocess.run(
        [str(python), "-c", "import sys; print(sys.version)"], capture_output=True, text=True, check=False
    )
    return probe.returncode == 0 and probe.stdout.strip() == sys.version.strip()


def find_uv() -> str | None:
    """uv from PATH, from an earlier call, or installed now; None when there is nothing to install it with."""
    for candidate in (shutil.which("uv"), str(TOOLS / "uv/bin/uv")):
        if candidate and uv_version(candidate) >= OLDEST_UV:
            return candidate
    pip = find_pip()
    if pip is None:
        return None
    print("bootstrap: installing uv into .tools/uv", flush=True)
    target = [
        "--quiet",
        "--root-user-action=ignore",
        "--upgrade",
        "--target",
        str(TOOLS / "uv"),
        "--no-deps",
        "--require-hashes",
    ]
    status = subprocess.run(
        [*pip, "install", *target, "-r", str(ROOT / "scripts/uv.lock")], check=False
    ).returncode
    return str(TOOLS / "uv/bin/uv") if status == 0 else None


def uv_version(uv: str) -> tuple[int, ...]:
    """``uv 0.13.9 (…)`` → ``(0, 13, 9)``; ``()`` when it does not run."""
    try:
        output = subprocess.run([uv, "--version"], capture_output=True, text=True, check=True).stdout
        return tuple(int(part) for part in output.split()[1].split("."))
    except (OSError, subprocess.CalledProcessError, IndexError, ValueError):
        return ()


def find_pip() -> list[str] | None:
    """A command that is pip: the interpreter's own, one in a private venv, or the same after apt-get as root."""
    own = [sys.executable, "-m", "pip"]
    if runs([*own, "--version"]):
        return own
    private = TOOLS / "pip"
    for attempt in ("as it is", "with Debian's python3-venv"):
        if attempt != "as it is" and not install_debian_venv():
            return None
        if runs([sys.executable, "-m", "venv", "--clear", str(private)]):
            return [str(private / "bin/python"), "-m", "pip"]
    return None


def install_debian_venv() -> bool:
    """On Debian and Ubuntu, as root, ensurepip is one package away."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    print("bootstrap: installing Debian's python3-venv", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-q"], ["install", "-qy", "--no-install-recommends", "python3-venv"]):
        if subprocess.run(["apt-get", *arguments], env=environment, check=False).returncode:
            return False
    return True


def runs(command: list[str]) -> bool:
    """Whether a command can be started and ends with 0; its output does not matter."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


if __name__ == "__main__":
    raise SystemExit(main())
