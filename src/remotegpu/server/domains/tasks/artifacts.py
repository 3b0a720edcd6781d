"""Artifacts as agents name them: what is acceptable, and where it lies in the object store. Pure.

An agent runs on a customer's machine, so nothing it says becomes part of an object's name unchecked.
"""

import re
import uuid

from remotegpu.protocol.attempts import ArtifactFile
from remotegpu.server.core.errors import FieldProblem

MAX_FILES = 1_000
MAX_PATH_BYTES = 1_024
MAX_BYTES = 2**53
"""Sizes are JSON numbers."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SUFFIX = re.compile(r"[A-Za-z0-9]{1,12}")


def problems_of(files: list[ArtifactFile]) -> list[FieldProblem]:
    """Everything that is wrong with an offer."""
    problems: list[FieldProblem] = []
    if len(files) > MAX_FILES:
        found = f"{len(files)} files"
        problems.append(FieldProblem("files", found, f"at most {MAX_FILES}; pack them into an archive"))
    for number, file in enumerate(files[:MAX_FILES]):
        problems += [
            FieldProblem(f"files[{number}].{name}", found, expected)
            for name, found, expected in _problems_of_file(file)
        ]
    return problems


def _problems_of_file(file: ArtifactFile) -> list[tuple[str, str, str]]:
    problems: list[tuple[str, str, str]] = []
    if not _is_relative(file.path):
        problems.append(("path", file.path[:100], "a relative path without . or .. parts"))
    if not 0 <= file.size_bytes <= MAX_BYTES:
        problems.append(("size_bytes", str(file.size_bytes)[:20], f"0 to {MAX_BYTES}"))
    if not _SHA256.fullmatch(file.sha256):
        problems.append(("sha256", file.sha256[:80], "64 lower-case hex digits"))
    return problems


def _is_relative(path: str) -> bool:
    return (
        0 < len(path.encode(errors="replace")) <= MAX_PATH_BYTES
        and "\x00" not in path
        and all(part not in {"", ".", ".."} for part in path.split("/"))
    )


def acceptable(files: list[ArtifactFile]) -> list[ArtifactFile]:
    """Those that can be listed, each path once."""
    first = {file.path: file for file in reversed(files[:MAX_FILES]) if not _problems_of_file(file)}
    return [first[path] for path in sorted(first)]


def object_key(task_id: uuid.UUID, attempt_id: uuid.UUID, file: ArtifactFile) -> str:
    """Where it lies. Named by content, so hostile file names never become keys; the suffix helps people."""
    _, dot, suffix = file.path.rpartition(".")
    ending = f".{suffix}" if dot and _SUFFIX.fullmatch(suffix) else ""
    return f"artifacts/{task_id}/{attempt_id}/{file.sha256}{ending}"
