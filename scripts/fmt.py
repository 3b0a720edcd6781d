"""``make fmt``: formats Python, and the web sources when their packages are installed."""

from __future__ import annotations

import subprocess
import sys

import console
import suites


def main() -> int:
    ruff = str(suites.BIN / "ruff")
    for arguments in (["check", "--fix-only", "--quiet", "."], ["format", "--quiet", "."]):
        subprocess.run([ruff, *arguments], cwd=suites.ROOT, check=True)
    if not (console.WEB / "package-lock.json").is_file():
        return 0
    try:
        console.install_packages()
        console.npm("run", "--silent", "format")
    except console.BuildError as error:
        sys.exit(f"fmt: {error}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
