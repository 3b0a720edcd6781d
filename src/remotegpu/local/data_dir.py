"""Recognise or begin a data directory, and refuse it with one clear message when it cannot be used."""

import json
import os
from pathlib import Path

from remotegpu import __version__
from remotegpu.kit import files
from remotegpu.kit.clock import utc_now
from remotegpu.local.account import Account
from remotegpu.local.binaries import POSTGRES_MAJOR
from remotegpu.local.errors import DataDirError, DiskFullError, NewerDataDirError, UnwritableDataDirError
from remotegpu.local.layout import LAYOUT_VERSION, Layout

MINIMUM_FREE_BYTES = 1024**3
"""Below this the platform does not start: PostgreSQL's write-ahead log alone may take half of it."""


def check_free_space(root: Path, minimum: int = MINIMUM_FREE_BYTES) -> None:
    """Raises :class:`DiskFullError`. ``root`` need not exist yet."""
    existing = next(path for path in (root, *root.parents) if path.exists())
    free = free_bytes(existing)
    if free < minimum:
        raise DiskFullError(
            f"{existing} has {free // 2**20} MiB free, the platform needs {minimum // 2**20} MiB to start.\n"
            "Free some space, or choose another place with --data-dir."
        )


def require_directory(root: Path) -> None:
    """Raises :class:`UnwritableDataDirError` when a file is where a directory must be. ``root`` need not exist yet."""
    try:
        existing = next(path for path in (root, *root.parents) if path.exists())
    except PermissionError as error:
        raise unreadable(root, error) from error
    if not existing.is_dir():
        raise UnwritableDataDirError(
            f"{existing} is a file, expected a directory. Choose another --data-dir."
        )


def unreadable(root: Path, error: OSError) -> UnwritableDataDirError:
    return UnwritableDataDirError(
        f"Cannot read the data directory {root}: {error.strerror} ({error.filename}).\n"
        "Run this as the account that owns it, or choose another --data-dir."
    )


def free_bytes(path: Path) -> int:
    """What an unprivileged process may still write."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def open_directory(layout: Layout, account: Account | None) -> None:
    """Create or recognise the data directory. Raises a :class:`LocalError` that says what was found instead."""
    root = layout.root
    try:
        found = sorted(entry.name for entry in root.iterdir()) if root.exists() else []
        _check_marker(layout, found)
        files.make_directory(root, files.TRAVERSABLE_DIR if account else files.PRIVATE_DIR)
        for directory in (layout.logs, layout.processes, layout.secrets):
            files.make_directory(directory)
        # Customers' tasks outlive the agent and work below it under accounts of their own: never close it to them.
        files.make_directory(layout.agent, files.TRAVERSABLE_DIR if account else files.PRIVATE_DIR)
    except NotADirectoryError as error:
        raise UnwritableDataDirError(
            f"{error.filename} is a file, expected a directory. Choose another --data-dir."
        ) from error
    except OSError as error:
        raise UnwritableDataDirError(
            f"Cannot write to the data directory {root}: {error.strerror} ({error.filename}).\n"
            "Choose a directory of your own with --data-dir, or correct its owner and mode."
        ) from error


def _check_marker(layout: Layout, found: list[str]) -> None:
    marker = files.read_json(layout.marker)
    if marker is None:
        strangers = [name for name in found if not name.startswith(f".{layout.marker.name}.")]
        if strangers:
            raise DataDirError(
                f"{layout.root} is not a RemoteGPU data directory: it has no readable {layout.marker.name}, but holds "
                f"{', '.join(strangers[:5])}{' …' if len(strangers) > 5 else ''}.\n"
                "Choose an empty directory with --data-dir, or move this one away."
            )
        files.make_directory(layout.root)
        files.write_private(layout.marker, _marker_text())
        return
    version = marker.get("layout")
    if not isinstance(version, int) or version > LAYOUT_VERSION:
        raise NewerDataDirError(
            f"{layout.root} was made by RemoteGPU {marker.get('version')} (layout {version}); "
            f"this is {__version__}, which knows layouts up to {LAYOUT_VERSION}.\n"
            "Install that version or a newer one, or choose another --data-dir."
        )


def _marker_text() -> str:
    made_at = utc_now().isoformat(timespec="seconds")
    return json.dumps({"layout": LAYOUT_VERSION, "version": __version__, "made_at": made_at}) + "\n"


def check_cluster(layout: Layout) -> bool:
    """True when a complete cluster of the right major version is there, False when there is none yet."""
    if not layout.postgres.exists():
        return False
    version_file = layout.postgres / "PG_VERSION"
    complete = version_file.exists() and (layout.postgres / "global" / "pg_control").exists()
    if not complete:
        raise DataDirError(
            f"{layout.postgres} is not a complete PostgreSQL cluster (PG_VERSION or global/pg_control is missing).\n"
            f"Restore {layout.root} from a backup, or move it away to start with an empty platform."
        )
    major = version_file.read_text(encoding="ascii").strip()
    if major != str(POSTGRES_MAJOR):
        raise NewerDataDirError(
            f"{layout.postgres} belongs to PostgreSQL {major}, this installation carries {POSTGRES_MAJOR}.\n"
            "Install the RemoteGPU version that made it, or choose another --data-dir."
        )
    return True
