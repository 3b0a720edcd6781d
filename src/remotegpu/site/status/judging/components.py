"""Versions that nobody repairs any more, and images that are not what they are called."""

import re
from collections.abc import Iterator
from datetime import date, timedelta

from remotegpu.site.status.facts import ImageInUse, RunningComponent, Unknown
from remotegpu.site.status.items import Item
from remotegpu.site.status.judging.wording import not_seen

NOTICE = timedelta(days=60)
"""How long before the end of support a new version is asked for."""
GROUP = "components"


def judge(components: tuple[RunningComponent, ...], today: date) -> Iterator[Item]:
    for component in components:
        yield _one(component, today)


def _one(component: RunningComponent, today: date) -> Item:
    name = f"component {component.name}"
    if tag_of(component.runs) != tag_of(component.manifest):
        return Item(
            name=name,
            level="warning",
            found=f"{component.runs} runs, chosen in remotegpu.yaml; tested and listed is {component.manifest}",
            remedy=f"Take images.{component.name} out of remotegpu.yaml, or see to its repairs yourself.",
            group=GROUP,
        )
    until = component.supported_until
    if until is None or until - today > NOTICE:
        return Item(name=name, level="ok", found=component.runs, group=GROUP)
    over = until <= today
    return Item(
        name=name,
        level="problem" if over else "warning",
        found=f"{component.runs} {'has had no repairs since' if over else 'gets no more repairs from'} {until}",
        remedy="Deploy a release of RemoteGPU that brings a newer one.",
        group=GROUP,
    )


def tag_of(reference: str) -> str:
    """``1.30.4`` of ``registry:5000/nginx:1.30.4@sha256:…``; empty without one. A mirror's copy is the same version."""
    found = re.search(r":([\w][\w.-]*)$", reference.partition("@")[0].rpartition("/")[2])
    return found[1] if found else ""


def stand_ins(images: tuple[ImageInUse, ...] | Unknown) -> Item:
    """Images made for tests carry a label; a production site must not run them unnoticed."""
    if isinstance(images, Unknown):
        return not_seen("images", images)
    found = [f"{image.reference} ({image.stand_in})" for image in images if image.stand_in]
    if not found:
        return Item(name="images", level="ok", found=f"{len(images)} in use, none of them a stand-in")
    return Item(
        name="images",
        level="warning",
        found="stand-ins for tests: " + ", ".join(found),
        remedy="Get the published ones: remotegpu site images pull",
    )
