"""``make docs``: writes the generated pages; ``--check`` only compares them with what would be written.

Pages that repeat what the code says are made from the code, so that they cannot say something else.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from pathlib import Path

from reference import api, command_line, example, protocol, settings, site
from suites import ROOT

PAGES: dict[str, Callable[[], str]] = {
    "docs/reference/cli.md": command_line.page,
    "docs/reference/settings.md": settings.page,
    "docs/reference/agent-protocol.md": protocol.page,
    "docs/reference/api.md": api.page,
    "docs/reference/site-config.md": site.english,
    "docs/reference/site-config.zh-CN.md": site.chinese,
    "deploy/remotegpu.schema.json": site.schema,
    "web/openapi.json": api.document,
    "web/src/api/schema.d.ts": api.client_types,
}


def main(arguments: list[str]) -> int:
    check = arguments == ["--check"]
    stale = [name for name, make in PAGES.items() if not is_current(ROOT / name, make(), check=check)]
    stale += outdated_example(check=check)
    if stale and check:
        print(f"docs: {', '.join(stale)} differ from the code; do next: make docs, and commit them")
        return 1
    if stale:
        print(f"docs: wrote {', '.join(stale)}")
    return 0


def outdated_example(*, check: bool) -> list[str]:
    """Files of the example that differ, may not be run, or are no longer rendered. Mended unless ``check``."""
    files = example.files()
    stale = [name for name, file in files.items() if not is_current(ROOT / name, file.text, check=check)]
    for name, file in files.items():
        if (path := ROOT / name).exists() and bool(path.stat().st_mode & 0o100) != bool(file.mode & 0o100):
            stale.append(name)
            if not check:
                path.chmod(file.mode)
    folder = ROOT / example.FOLDER
    present = {path.relative_to(ROOT).as_posix() for path in folder.rglob("*") if path.is_file()}
    for name in sorted(present - set(files)):
        stale.append(name)
        if not check:
            (ROOT / name).unlink()
    return list(dict.fromkeys(stale))


def is_current(path: Path, wanted: str, *, check: bool) -> bool:
    """Compares; writes unless ``check``, in which case the first differing lines are shown."""
    found = path.read_text(encoding="utf-8") if path.exists() else ""
    if found == wanted:
        return True
    if check:
        difference = difflib.unified_diff(
            found.splitlines(), wanted.splitlines(), path.name, "from the code", n=0
        )
        print("\n".join(list(difference)[:20]))
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted, encoding="utf-8")
    return False


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
