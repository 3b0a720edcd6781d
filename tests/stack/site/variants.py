"""Releases for the tests: the product's images under another version, as they are or with one thing changed."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.conftest import Images
from stack.engine import Engine


@dataclass(frozen=True)
class Variants:
    engine: Engine
    images: Images

    def same(self, version: str) -> str:
        """Nothing changed but the version. Returns it."""
        return self.with_backend(version)

    def with_backend(self, version: str, *lines: str, files: Mapping[str, str] | None = None) -> str:
        """``lines``: of a Dockerfile, after ``FROM`` the product's backend; ``files``: what they copy."""
        label = f"LABEL org.opencontainers.image.version={version}"
        self._build(version, "backend", [*lines, label], files or {})
        for program in ("frontend", "postgresql"):
            self._build(version, program, [label], {})
        return version

    def _build(self, version: str, program: str, lines: list[str], files: Mapping[str, str]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            text = "\n".join([f"FROM remotegpu-{program}:{self.images.release}", *lines])
            for name, content in {"Dockerfile": text, **files}.items():
                (Path(folder) / name).write_text(content, encoding="utf-8")
            self.engine.docker("build", "--quiet", f"--tag=remotegpu-{program}:{version}", folder)

    def inside(self, expression: str) -> str:
        """What Python in the backend's image says."""
        argv = ("--entrypoint=python", self.images.backend, "-c", f"import remotegpu; {expression}")
        return self.engine.docker("run", "--rm", *argv).stdout.strip()
