"""What ``make test`` runs, in order: the quick ones first, so that a mistake shows early."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
REPORTS = ROOT / "build/test"

Kind = Literal["check", "pytest", "vitest"]


@dataclass(frozen=True)
class Suite:
    """``kind`` says how tests are counted: a check counts one, the others report their own numbers.

    ``paths``: what it covers, for ``make test T=path``. ``needs``: programs without which it is left out.
    ``console``: whether the built console must be there first. ``engine``: whether it needs a Docker engine.
    ``workers``: pytest processes.
    """

    name: str
    kind: Kind
    paths: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    console: bool = False
    engine: bool = False
    workers: int = 0
    cwd: Path = ROOT

    def argv(self, path: str | None = None) -> list[str]:
        """The command line for the whole suite, or for one ``path`` of it."""
        if self.kind != "pytest":
            return list(self.command)
        spread = ["-n", str(self.workers), "--dist", "loadfile"] if self.workers and path is None else []
        junit = f"--junitxml={REPORTS / self.name}.xml"
        return [sys.executable, "-m", "pytest", "-q", *spread, junit, *([path] if path else self.paths)]

    def missing(self) -> list[str]:
        """The needed programs that are not on PATH."""
        return [program for program in self.needs if shutil.which(program) is None]

    def owns(self, path: str) -> bool:
        return any(path == own or path.startswith(own + "/") for own in self.paths)


def _tool(name: str, *arguments: str) -> tuple[str, ...]:
    return (str(BIN / name), *arguments)


SUITES = (
    Suite("format", "check", command=_tool("ruff", "format", "--check", "--quiet", ".")),
    Suite("lint", "check", command=_tool("ruff", "check", "--quiet", ".")),
    Suite("imports", "check", command=_tool("lint-imports", "--no-cache")),
    Suite("docs", "check", command=(sys.executable, "scripts/docs.py", "--check")),
    Suite("architecture", "pytest", paths=("tests/test_architecture.py", "tests/test_console_language.py")),
    Suite("unit", "pytest", paths=("tests/unit",), workers=2),
    Suite("types", "check", command=_tool("basedpyright")),
    Suite("web", "vitest", paths=("web",), command=("npm", "run", "--silent", "check"), cwd=ROOT / "web"),
    Suite(
        "integration",
        "pytest",
        paths=("tests/integration", "tests/upgrade"),
        needs=("ssh",),
        console=True,
        workers=2,
    ),
    Suite("demo", "pytest", paths=("tests/demo",), console=True),
    Suite("packaging", "pytest", paths=("tests/packaging",), console=True),
    Suite("browser", "pytest", paths=("tests/e2e",), needs=("chromium",), console=True),
    Suite("chaos", "pytest", paths=("tests/chaos",)),
    Suite("stack", "pytest", paths=("tests/stack",), engine=True),
)


def suite_for(path: str) -> Suite | None:
    """The suite that covers ``path`` (a pytest node id counts by its file)."""
    plain = os.path.normpath(path.split("::", maxsplit=1)[0])
    return next((suite for suite in SUITES if suite.owns(plain)), None)
