"""Debian packages the tests use. Only the missing ones are installed, and only as root on Debian or Ubuntu."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import docker_engine

CJK_FONTS = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
"""Without it the screenshots of the Chinese console show boxes."""


def missing_packages() -> list[str]:
    """Names of the packages whose program or file is not there."""
    have = {
        "chromium": shutil.which("chromium") is not None,
        "debootstrap": shutil.which("debootstrap") is not None,  # makes the base of the stand-in images
        "docker.io": shutil.which("dockerd") is not None or docker_engine.is_running(),
        "fonts-noto-cjk": CJK_FONTS.exists(),
        "gcc": shutil.which("gcc") is not None,  # compiles the fake NVML library
        "iptables": shutil.which("iptables") is not None,  # the networks of containers
        "libc6-dev": Path("/usr/include/stdio.h").exists(),
        "openssh-client": shutil.which("ssh") is not None,
        "pebble": shutil.which("pebble") is not None,  # an ACME server
        "prometheus": shutil.which("promtool") is not None,  # reads the rendered prometheus.yml
    }
    return [name for name, present in have.items() if not present]


def can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(packages: list[str]) -> bool:
    """Whether apt-get brought them all; its own output says why not."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    options = ["-qq", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=300"]
    steps = (["update", *options], ["install", "-y", "--no-install-recommends", *options, *packages])
    return all(
        subprocess.run(["apt-get", *step], env=environment, stdout=subprocess.DEVNULL, check=False).returncode
        == 0
        for step in steps
    )
