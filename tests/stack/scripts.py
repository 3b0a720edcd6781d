"""What the test bed shares with the project's scripts: these are programs, so their folder goes on the path first."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT / "scripts") not in sys.path:
    sys.path.insert(0, str(ROOT / "scripts"))

import bootstrap  # noqa: E402 - after its folder is on the path
import docker_engine  # noqa: E402 - the same

__all__ = ["ROOT", "bootstrap", "docker_engine"]
