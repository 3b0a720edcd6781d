"""``site images list | pull | save | load`` and ``site lock``: all images of a site at once."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import remotegpu
from remotegpu.kit import files
from remotegpu.kit.clock import utc_now
from remotegpu.site import runner
from remotegpu.site.commands import docker
from remotegpu.site.config.loading import parse
from remotegpu.site.image_sets import archive, inventory, pinning
from remotegpu.site.image_sets.archive import ArchiveError, Carried, Index
from remotegpu.site.image_sets.inventory import SiteImage, Wanted
from remotegpu.site.image_sets.pinning import Pin
from remotegpu.site.images import ImageError
from remotegpu.site.place import Place
from remotegpu.site.releases import Releases

Progress = Callable[[str, str], None]
"""``(image, what is said of it)``."""


@dataclass(frozen=True)
class Pulled:
    """``failed``: reference -> why it is not here, or still a stand-in."""

    here: list[SiteImage]
    failed: dict[str, str]


def wanted(place: Place) -> list[Wanted]:
    return inventory.wanted(place.config, Releases(place.directory).current())


def show(place: Place) -> list[SiteImage]:
    return inventory.look(wanted(place))


def pull(place: Place, progress: Progress) -> Pulled:
    """Fetch what is not here, and what is only a stand-in. One that fails keeps no other from coming."""
    failed: dict[str, str] = {}
    for image, found in zip(images := wanted(place), inventory.look(images), strict=True):
        if found.id and not found.stand_in:
            progress(image.name, f"{image.reference} is here")
            continue
        if image.is_ours and not place.config.release.registry:
            failed[image.reference] = "release.registry names no place to pull it from; build it, or load it"
        else:
            progress(image.name, f"pulling {image.reference}")
            done = runner.attempt(docker.pull(image.reference))
            if done.code != 0:
                failed[image.reference] = done.output.strip()[-300:] or f"docker pull ended with {done.code}"
        progress(image.name, failed.get(image.reference, f"{image.reference} is here"))
    return Pulled(inventory.look(images), failed)


def save(place: Place, output: Path, progress: Progress) -> Index:
    """Write all of them to one file. Raises :class:`ImageError` when one is not here, :class:`FileExistsError`."""
    if output.exists():
        raise FileExistsError(f"found {output} already, expected a new file")
    found = show(place)
    missing = [image.reference for image in found if not image.id]
    if missing:
        raise ImageError(
            f"not on this node: {', '.join(missing)}; get them with `remotegpu site images pull`"
        )
    size = sum({image.id: image.size for image in found}.values())
    free = shutil.disk_usage(output.absolute().parent).free
    if free < size:
        raise ImageError(f"found {free} bytes free beside {output}, expected at least {size}")
    for image in found:
        progress(image.name, f"{image.reference} {image.id[7:19]}")
    return _written(place, output, found, progress)


def _written(place: Place, output: Path, found: list[SiteImage], progress: Progress) -> Index:
    """Under another name until it is whole."""
    partial = output.with_name(f".{output.name}.partial")
    carried = [
        Carried(
            name=image.name, reference=image.reference, id=image.id, size=image.size, stand_in=image.stand_in
        )
        for image in found
    ]
    try:
        progress("save", f"docker save of {len(found)} images")
        ids = tuple(sorted({image.id for image in found}))
        runner.run(docker.save(ids, str(partial)))
        progress("index", "reading it back for the checksums")
        index = archive.seal(partial, carried, place.config.site.name, utc_now(), remotegpu.__version__)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    return index


def load(path: Path, progress: Progress, *, dry_run: bool) -> Index:
    """Check all of it, and only then load and name the images. Raises :class:`ArchiveError`."""
    progress("verify", f"reading {path}")
    index = archive.verify(path)
    progress(
        "verify", f"{len(index.members)} members are what was saved on {index.made_at:%Y-%m-%d %H:%M} UTC"
    )
    if dry_run:
        return index
    runner.run(docker.load(str(path)))
    for image in index.images:
        if runner.attempt(docker.image_id(image.id)).code != 0:
            raise ArchiveError(f"{image.reference}: the engine made no image {image.id} of what was saved")
    for image in index.images:
        name = tag_for(image.reference)
        runner.run(docker.tag(image.id, name))
        progress(image.name, f"{name} is {image.id[7:19]}")
    return index


def tag_for(reference: str) -> str:
    """An engine knows a registry's digest only of what it pulled itself, so what was carried has its tag alone."""
    return reference.partition("@")[0]


def lock(place: Place, progress: Progress, *, dry_run: bool) -> list[Pin]:
    """Resolve each component's digest, pulling what is not here, and write them into the site's file."""
    components = inventory.components(place.config)
    found = inventory.look(components)
    for image in found:
        if not image.id and not dry_run:
            progress(image.name, f"pulling {image.reference}")
            runner.attempt(docker.pull(image.reference))
    pins = pinning.decide(inventory.look(components))
    changed = {pin.component: pin.after for pin in pins if pin.result == "pinned"}
    if changed and not dry_run:
        _rewrite(place.config_path, changed)
    return pins


def _rewrite(path: Path, changed: dict[str, str]) -> None:
    """Only what still is a valid file is written."""
    text = pinning.rewritten(path.read_text(encoding="utf-8"), changed)
    parse(text, str(path))
    files.write_private(path, text, mode=path.stat().st_mode & 0o777)
