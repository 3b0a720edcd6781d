"""What differs between the bundle and the site's directory, and bringing the directory up to it."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path

from remotegpu.kit import files
from remotegpu.site.bundle.render import BundleFile

KEPT = ("nginx/ssl", "nginx/upstreams", "nginx/acme", "backups", "logs", "scratch", "secrets", "releases")
"""Directories of the tree whose content is not rendered."""


def diff(directory: Path, bundle: Mapping[str, BundleFile]) -> str:
    """A unified diff from what lies in ``directory`` to ``bundle``; empty when they are equal."""
    parts: list[str] = []
    for path, wanted in bundle.items():
        present = _text(directory / path)
        if present != wanted.text:
            parts += difflib.unified_diff(
                (present or "").splitlines(keepends=True),
                wanted.text.splitlines(keepends=True),
                fromfile=f"{directory / path}" if present is not None else "/dev/null",
                tofile=path,
            )
    return "".join(parts)


def write(directory: Path, bundle: Mapping[str, BundleFile]) -> list[str]:
    """Make ``directory`` hold ``bundle``. Each file is replaced whole. Returns the paths that changed."""
    for kept in KEPT:
        (directory / kept).mkdir(parents=True, exist_ok=True)
    return write_files(directory, bundle)


def write_files(directory: Path, bundle: Mapping[str, BundleFile]) -> list[str]:
    """The files alone. Returns the paths that changed."""
    return [path for path, wanted in bundle.items() if _put(directory / path, wanted)]


def _put(path: Path, wanted: BundleFile) -> bool:
    same = _text(path) == wanted.text and path.stat().st_mode & 0o777 == wanted.mode
    if not same:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_private(path, wanted.text, mode=wanted.mode)
        os.chmod(path, wanted.mode)  # noqa: PTH101 - whatever the umask left out
    return not same


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
