"""Compose v2 for a ``docker`` that came without it: a locked package's binary, in a DOCKER_CONFIG of our own."""

import hashlib
import subprocess
import tarfile
from pathlib import Path

from stack.scripts import ROOT, bootstrap

LOCK = Path(__file__).with_name("compose.lock")
CONFIG = ROOT / ".tools/docker"
MEMBER = "src/compose/docker-compose"


def folder() -> Path:
    """For DOCKER_CONFIG, with the plug-in in it."""
    plugin = CONFIG / "cli-plugins/docker-compose"
    stamp = CONFIG / "compose.hash"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not (plugin.exists() and stamp.exists() and stamp.read_text() == wanted):
        plugin.parent.mkdir(parents=True, exist_ok=True)
        unpack(download(CONFIG / "download"), plugin)
        stamp.write_text(wanted)
    return CONFIG


def download(target: Path) -> Path:
    """The locked source package; pip checks its hash. Nothing of it is run."""
    pip = bootstrap.find_pip()
    assert pip is not None, "found no pip, expected the one that scripts/bootstrap uses"
    target.mkdir(exist_ok=True)
    options = [
        "--quiet",
        "--no-deps",
        "--no-binary=:all:",
        "--require-hashes",
        "-r",
        str(LOCK),
        "-d",
        str(target),
    ]
    subprocess.run([*pip, "download", *options], check=True)
    (package,) = target.glob("*.tar.gz")
    return package


def unpack(package: Path, plugin: Path) -> None:
    draft = plugin.with_suffix(".new")
    with tarfile.open(package) as archive:
        member = next(entry for entry in archive if entry.name.endswith(MEMBER))
        content = archive.extractfile(member)
        assert content is not None
        draft.write_bytes(content.read())
    draft.chmod(0o755)
    draft.replace(plugin)
    package.unlink()
