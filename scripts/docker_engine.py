"""Whether the tests can have a Docker engine: one that answers, or what root on Debian needs to start one."""

from __future__ import annotations

import os
import shutil
import subprocess

STARTING = ("dockerd", "iptables")
"""Programs without which no engine starts. Debian: docker.io, iptables."""


def current_address() -> str:
    """Of the engine that a plain ``docker`` talks to, whatever DOCKER_CONFIG becomes later."""
    command = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    return os.environ.get("DOCKER_HOST") or shown.stdout.strip() or "unix:///var/run/docker.sock"


def answers(address: str) -> bool:
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    environment = {**os.environ, "DOCKER_HOST": address}
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


def is_running() -> bool:
    return shutil.which("docker") is not None and answers(current_address())


def problem() -> str:
    """Why there is none and none can be started; empty when one can be had."""
    if is_running():
        return ""
    if os.geteuid() != 0:
        return "no Docker engine answers, and only root can start one"
    missing = [program for program in ("docker", *STARTING) if shutil.which(program) is None]
    return (
        f"no Docker engine answers, and there is no {' nor '.join(missing)} to start one" if missing else ""
    )
