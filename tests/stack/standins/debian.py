"""``debian:trixie-slim``, the base of every stand-in: made by debootstrap from the mirror this machine uses itself."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from stack.engine import Engine

IMAGE = "debian:trixie-slim"
SUITE = "trixie"
LABELLED = 'LABEL "org.remotegpu.stand-in"="Debian 13, made by debootstrap"'
SOURCES = Path("/etc/apt")
SLIM = """\
path-exclude /usr/share/doc/*
path-exclude /usr/share/man/*
path-exclude /usr/share/locale/*
path-include /usr/share/doc/*/copyright
"""
APT = """\
APT::Install-Recommends "false";
Acquire::Languages "none";
Binary::apt-get::Acquire::Retries "3";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
"""
DROPPED = (
    "var/cache/apt",
    "var/lib/apt/lists",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "var/log",
)


def provide(engine: Engine) -> None:
    """Have the image: as it is, made here, or pulled where a registry answers."""
    if engine.docker("image", "inspect", IMAGE, check=False).returncode == 0:
        return
    mirror = mirror_of(SOURCES)
    if os.geteuid() != 0 or shutil.which("debootstrap") is None or mirror is None:
        engine.docker("pull", IMAGE)
        return
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        bootstrap(tree, mirror)
        slim(tree)
        load(engine, tree)


def mirror_of(sources: Path) -> str | None:
    """The first Debian archive that apt reads here, in either form of its lists; None where there is none (Ubuntu)."""
    files = [sources / "sources.list", *sorted((sources / "sources.list.d").glob("*"))]
    text = "\n".join(
        file.read_text() for file in files if file.is_file() and file.suffix in {".list", ".sources"}
    )
    found = re.findall(r"^(?:URIs:|deb(?:\s+\[.*?\])?)\s+(https?://\S+/debian/?)(?:\s|$)", text, re.MULTILINE)
    return found[0] if found else None


def bootstrap(tree: Path, mirror: str) -> None:
    command = ["debootstrap", "--variant=minbase", SUITE, str(tree), mirror]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    tail = "\n".join(done.stdout.splitlines()[-20:])
    assert done.returncode == 0, f"`{' '.join(command)}` ended with {done.returncode}:\n{tail}"


def slim(tree: Path) -> None:
    """What the published slim image leaves out, now and of packages to come."""
    for name in DROPPED:
        for entry in (tree / name).iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    (tree / "etc/dpkg/dpkg.cfg.d/slim").write_text(SLIM)
    (tree / "etc/apt/apt.conf.d/90slim").write_text(APT)


def load(engine: Engine, tree: Path) -> None:
    archive = subprocess.Popen(["tar", "-C", str(tree), "-c", "."], stdout=subprocess.PIPE)
    changes = ["--change", 'CMD ["bash"]', "--change", LABELLED]
    subprocess.run(
        ["docker", "import", *changes, "-", IMAGE],
        env=engine.environment,
        stdin=archive.stdout,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    assert archive.wait() == 0
