"""``make lock``: resolves ``pyproject.toml`` into ``requirements.lock`` for every platform and Python >= 3.11.

The index is the one that uv is configured for; its address stays out of the file.
"""

from __future__ import annotations

import subprocess
import sys

import bootstrap

FORM = ["--generate-hashes", "--no-header", "--no-emit-index-url", "--no-annotate"]
SCOPE = ["--all-extras", "--group", "dev", "--universal", "--python-version", "3.11"]


def main() -> int:
    uv = bootstrap.find_uv()
    if uv is None:
        sys.exit(bootstrap.NO_INSTALLER.format(python=sys.executable))
    command = [uv, "pip", "compile", "--quiet", "pyproject.toml", *SCOPE, *FORM, "-o", "requirements.lock"]
    return subprocess.run(command, cwd=bootstrap.ROOT, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
