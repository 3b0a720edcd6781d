"""The command that adds an extra to this very installation: from an index, a wheel file or a folder, by pip or pipx.

Standard library only: it is asked for when something else is missing.
"""

import importlib.metadata
import json
import sys
from pathlib import Path

PIPX_MARK = "pipx_metadata.json"
"""pipx keeps it in each environment that it makes."""


def command(extra: str) -> str:
    """For the installation that runs now."""
    return command_for(extra, origin=origin(), by_pipx=(Path(sys.prefix) / PIPX_MARK).exists())


def command_for(extra: str, *, origin: str | None, by_pipx: bool) -> str:
    """``origin``: URL of the file or folder it was installed from; None for a package index."""
    requirement = f"remotegpu[{extra}] @ {origin}" if origin else f"remotegpu[{extra}]"
    return f"{'pipx install --force' if by_pipx else 'pip install'} '{requirement}'"


def origin() -> str | None:
    """What pip noted in ``direct_url.json`` (PEP 610)."""
    try:
        noted = importlib.metadata.distribution("remotegpu").read_text("direct_url.json")
        return json.loads(noted)["url"] if noted else None
    except (importlib.metadata.PackageNotFoundError, ValueError, KeyError, TypeError):
        return None
