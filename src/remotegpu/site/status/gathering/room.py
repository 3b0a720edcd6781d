"""Room where the site's files and Docker's are."""

import shutil
from pathlib import Path

from remotegpu.site import runner
from remotegpu.site.commands import docker
from remotegpu.site.status.facts import Disk


def disks(directory: Path) -> tuple[Disk, ...]:
    """One for each file system, of the site's directory and of Docker's."""
    done = runner.attempt(docker.root_directory())
    engine = Path(done.output.strip()) if done.code == 0 and done.output.startswith("/") else None
    paths = [directory, engine] if engine and engine.exists() else [directory]
    found: dict[int, Disk] = {}
    for path in paths:
        place = next(one for one in (path, *path.parents) if one.exists())
        usage = shutil.disk_usage(place)
        found.setdefault(place.stat().st_dev, Disk(path=str(place), used=usage.used, free=usage.free))
    return tuple(found.values())
