"""Which release serves, and whether what is configured is what it was brought into service with."""

from collections.abc import Iterator

from remotegpu.site.releases import Release
from remotegpu.site.status.facts import Facts
from remotegpu.site.status.items import Item

SHOWN = 3


def serving(release: Release | None, named_version: str) -> Item:
    if release is None:
        remedy = "Bring one: remotegpu site deploy"
        return Item(name="release", level="problem", found="none was brought into service", remedy=remedy)
    said = f"{release.version} in slot {release.slot} since {release.deployed_at:%Y-%m-%d %H:%M} UTC, by {release.by}"
    if release.version == named_version:
        return Item(name="release", level="ok", found=said)
    return Item(
        name="release",
        level="warning",
        found=f"{said}; remotegpu.yaml names {named_version}",
        remedy=f"Write {release.version} there, or bring {named_version}: remotegpu site deploy",
    )


def drift(facts: Facts) -> Iterator[Item]:
    if facts.release is None:
        return
    yield _compared(
        "configuration",
        facts.config_changes,
        "as the release was brought with",
        "remotegpu.yaml, or this toolkit, would now write {} otherwise",
        "See what: remotegpu site render --diff. Apply it: remotegpu site deploy",
    )
    yield _compared(
        "files",
        facts.edited,
        "as they were rendered",
        "{} changed by hand, or gone",
        "The next deployment writes over it; put it into remotegpu.yaml. See what: remotegpu site render --diff",
    )


def _compared(name: str, paths: tuple[str, ...], well: str, found: str, remedy: str) -> Item:
    if not paths:
        return Item(name=name, level="ok", found=well)
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return Item(
        name=name, level="warning", found=found.format(", ".join(paths[:SHOWN]) + more), remedy=remedy
    )
