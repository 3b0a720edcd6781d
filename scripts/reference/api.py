"""``docs/reference/api.md`` and the console's description of the API, all from the server's own OpenAPI document."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any  # Any: an OpenAPI document is free-form JSON

import console

from reference.marks import cell, header

METHODS = ("get", "post", "put", "patch", "delete")
INTRODUCTION = """\
# HTTP API

The full description is served at `/api/v1/openapi.json`, with a page to read and try it at `/api/v1/docs`.
Errors are `application/problem+json` (RFC 9457) with a stable `code`. Lists take `page`, `page_size`, `sort` and `q`
and answer `{items, total, page, page_size}`. Times are RFC 3339 in UTC. An object of somebody else answers 404.

"""


@functools.cache
def document() -> str:
    """What `remotegpu server openapi` prints: indented and sorted, so that a change is a small difference."""
    command = [sys.executable, "-m", "remotegpu.cli.main", "server", "openapi"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def client_types() -> str:
    """TypeScript types of the console's client, from the same document."""
    console.install_packages()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "openapi.json"), Path(folder, "schema.d.ts")
        source.write_text(document(), encoding="utf-8")
        tool = console.WEB / "node_modules/.bin/openapi-typescript"
        path = f"{console.node_folder()}{os.pathsep}{os.environ.get('PATH', '')}"
        command = [str(tool), str(source), "--output", str(target), "--root-types", "false"]
        subprocess.run(
            command, cwd=console.WEB, env={**os.environ, "PATH": path}, capture_output=True, check=True
        )
        return target.read_text(encoding="utf-8")


def page() -> str:
    found: dict[str, Any] = json.loads(document())
    by_tag: dict[str, list[str]] = {}
    for path, operations in found["paths"].items():
        for method in METHODS:
            if method in operations:
                row = operation_row(method, path, operations[method])
                by_tag.setdefault((operations[method].get("tags") or ["other"])[0], []).append(row)
    text = header("the server's OpenAPI document") + INTRODUCTION
    for tag in sorted(by_tag):
        rows = "\n".join(sorted(by_tag[tag]))
        text += f"## {tag}\n\n| call | what it does | answers |\n|---|---|---|\n{rows}\n\n"
    return text.rstrip() + "\n"


def operation_row(method: str, path: str, operation: dict[str, Any]) -> str:
    summary = ". ".join(operation[name] for name in ("summary", "description") if operation.get(name))
    statuses = ", ".join(sorted(operation.get("responses", {})))
    return f"| `{method.upper()} {path}` | {cell(summary)} | {statuses} |"
