"""Room on the disks that the site fills."""

from collections.abc import Iterator

from remotegpu.site.status.facts import Disk
from remotegpu.site.status.items import Item, Level

WARN_PERCENT, FULL_PERCENT = 80, 90
"""80: section 7.6 of the deployment plan. At 90 a backup of a site that fills its disk no longer fits."""


def judge(disks: tuple[Disk, ...]) -> Iterator[Item]:
    for disk in disks:
        level = level_of(disk.percent)
        said = f"{disk.percent:.0f} % used, {disk.free / 1024**3:.1f} GiB free"
        remedy = (
            "" if level == "ok" else "See what takes it: docker system df; du -xh --max-depth 2 " + disk.path
        )
        yield Item(name=f"disk {disk.path}", level=level, found=said, remedy=remedy)


def level_of(percent: float) -> Level:
    if percent >= FULL_PERCENT:
        return "problem"
    return "warning" if percent >= WARN_PERCENT else "ok"
