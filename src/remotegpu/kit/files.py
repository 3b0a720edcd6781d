"""Private files and directories: written whole or not at all, readable by the owner alone."""

import json
import os
import secrets
from pathlib import Path
from typing import Any

PRIVATE_DIR = 0o700
TRAVERSABLE_DIR = 0o711
"""Others may pass through to what they own, and see nothing else."""


def write_private(path: Path, content: str | bytes, *, mode: int = 0o600) -> None:
    """Replace ``path`` atomically and durably; a crash leaves the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def make_directory(path: Path, mode: int = PRIVATE_DIR) -> None:
    """Create ``path`` (and parents) and set its mode whatever the umask."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)


def read_json(path: Path) -> dict[str, Any] | None:  # Any: the file's shape is checked by whoever uses it
    """The JSON object in ``path``; None when it is absent, unreadable as JSON, or not an object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def to_json(value: dict[str, Any]) -> str:  # Any: whatever JSON holds
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
