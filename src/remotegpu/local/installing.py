"""Adding an extra to this very installation: from an index, a wheel file or a folder, by pip, pipx or uv.

An environment that pipx or uv made for us alone is completed when the platform is to start; of any other only the
command is told. Standard library only: it is asked for when something else is missing.
"""

import importlib.metadata
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

PIPX_MARK, UV_MARK = "pipx_metadata.json", "uv-receipt.toml"
"""What pipx and ``uv tool`` keep in each environment that they make for one program."""


NO_INSTALLER = 127
"""Exit status that stands for an environment without pip, and no uv to be found."""


def command(extra: str) -> str:
    """For the installation that runs now."""
    return command_for(extra, origin=origin(), by_pipx=(Path(sys.prefix) / PIPX_MARK).exists())


def command_for(extra: str, *, origin: str | None, by_pipx: bool) -> str:
    """``origin``: URL of the file or folder it was installed from; None for a package index."""
    requirement = f"remotegpu[{extra}] @ {origin}" if origin else f"remotegpu[{extra}]"
    return f"{'pipx install --force' if by_pipx else 'pip install'} '{requirement}'"


def is_ours_alone() -> bool:
    """Whether this environment was made for this program and nothing else."""
    return any((Path(sys.prefix) / mark).exists() for mark in (PIPX_MARK, UV_MARK))


def complete(extra: str) -> int:
    """Install ``extra`` into this environment, progress on stderr. Returns the installer's exit status."""
    installer = _installer()
    if installer is None:
        return NO_INSTALLER
    place = origin()
    wanted = f"remotegpu[{extra}] @ {place}" if place else f"remotegpu[{extra}]"
    return subprocess.run([*installer, wanted], stdout=sys.stderr, check=False).returncode


def _installer() -> list[str] | None:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--quiet"]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    return None


def origin() -> str | None:
    """What pip noted in ``direct_url.json`` (PEP 610)."""
    try:
        noted = importlib.metadata.distribution("remotegpu").read_text("direct_url.json")
        return json.loads(noted)["url"] if noted else None
    except (importlib.metadata.PackageNotFoundError, ValueError, KeyError, TypeError):
        return None
