"""How a site is: one item for each thing that was looked at."""

from datetime import datetime
from typing import Literal

import msgspec

Level = Literal["ok", "warning", "problem", "unknown"]
WORST_FIRST: tuple[Level, ...] = ("problem", "unknown", "warning", "ok")


class Item(msgspec.Struct, kw_only=True, frozen=True):
    """``group``: items of one kind, shown as one line while all of them are well. ``remedy``: empty when all is well.

    ``unknown``: it could not be looked at; that is no proof of anything, so the site does not count as well.
    """

    name: str
    level: Level
    found: str
    remedy: str = ""
    group: str = ""


class Report(msgspec.Struct, kw_only=True, frozen=True):
    site: str
    at: datetime
    items: tuple[Item, ...]

    @property
    def is_well(self) -> bool:
        """Warnings want to be looked at, but nobody is hurt yet."""
        return all(item.level in {"ok", "warning"} for item in self.items)

    def count(self, level: Level) -> int:
        return sum(item.level == level for item in self.items)

    @property
    def headline(self) -> str:
        """``acme is not well: 2 problems, 1 warning``."""
        counts = ((level, self.count(level)) for level in ("problem", "warning", "unknown"))
        said = ", ".join(_counted(level, count) for level, count in counts if count)
        if self.is_well:
            return f"{self.site} is well" + (f", with {said}" if said else "")
        return f"{self.site} is not well: {said}"


def _counted(level: str, count: int) -> str:
    plural = "" if count == 1 or level == "unknown" else "s"
    return f"{count} {level}{plural}"


def lines(report: Report) -> list[Item]:
    """What is shown: the worst first, and a group that is well as one."""
    shown: list[Item] = []
    for item in sorted(report.items, key=_severity):
        is_told = item.level == "ok" and item.group
        if not is_told:
            shown.append(item)
        elif all(other.level != "ok" or other.group != item.group for other in shown):
            shown.append(
                _together([one for one in report.items if one.level == "ok" and one.group == item.group])
            )
    return shown


def _severity(item: Item) -> int:
    return WORST_FIRST.index(item.level)


def _together(items: list[Item]) -> Item:
    if len(items) == 1:
        return items[0]
    group = items[0].group
    return Item(
        name=group, level="ok", found=f"{len(items)}: " + ", ".join(_short(one) for one in items), group=group
    )


def _short(item: Item) -> str:
    return item.name.removeprefix(f"{item.group} ").removeprefix(f"{item.group.removesuffix('s')} ")
