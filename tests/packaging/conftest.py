"""Builds the wheel once, and makes clean environments that hold nothing but what was asked for."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UV = shutil.which("uv") or str(ROOT / ".tools/uv/bin/uv")


@dataclass(frozen=True)
class CleanEnvironment:
    """A virtual environment outside the clone; nothing of the clone is on its path."""

    folder: Path

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Starts one of its programs with an environment that holds only PATH and ``more``."""
        program = str(self.folder / "bin" / arguments[0])
        variables = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "LANG": "C.UTF-8", **more}
        return subprocess.run(
            [program, *arguments[1:]],
            capture_output=True,
            text=True,
            check=False,
            env=variables,
            cwd=self.folder,
            timeout=60,
        )

    def has(self, module: str) -> bool:
        return self.run("python", "-c", f"import {module}").returncode == 0


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("remotegpu-*.whl")
    return built


@pytest.fixture(scope="session")
def install(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], CleanEnvironment]:
    """``install("agent")``: the wheel with one extra, versions from the lock file."""

    def make(extra: str) -> CleanEnvironment:
        folder = tmp_path_factory.mktemp(f"env-{extra or 'base'}")
        named = f"remotegpu[{extra}] @ {wheel.as_uri()}" if extra else f"remotegpu @ {wheel.as_uri()}"
        uv("venv", "--python", sys.executable, str(folder))
        python = str(folder / "bin/python")
        uv("pip", "install", "--python", python, "--constraints", str(constraints(folder)), named)
        return CleanEnvironment(folder)

    return make


def constraints(folder: Path) -> Path:
    """The lock file's versions without its hashes: with hashes uv would want one for the wheel itself."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    path = folder / "constraints.txt"
    path.write_text(
        "\n".join(line.removesuffix("\\").strip() for line in lines if not line.startswith(" ")) + "\n"
    )
    return path


def uv(*arguments: str) -> None:
    done = subprocess.run([UV, *arguments, "--quiet"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
