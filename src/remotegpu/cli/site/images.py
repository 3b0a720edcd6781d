"""``remotegpu site images list | pull | save | load`` and ``remotegpu site lock``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from remotegpu.cli.output import print_json, print_line, print_note, print_table, show_bytes
from remotegpu.cli.site.shared import DEFAULT, FAILED, ConfigPath, Json, Steps, failed, guarded

if TYPE_CHECKING:
    from remotegpu.site.image_sets.archive import Carried
    from remotegpu.site.image_sets.inventory import SiteImage
    from remotegpu.site.place import Place

app = App(
    name="images", help="All images of the site: which they are, and carrying them.", help_format="plaintext"
)

DryRun = Annotated[
    bool, Parameter(name="--dry-run", negative=(), help="Show what would be done, and do nothing.")
]


@app.command(name="list")
def list_images(*, config: ConfigPath = DEFAULT, json_output: Json = False) -> int:
    """List the images of the release that serves, of the one that the file names, and of the components.

    Exit status 1 when one of them is not on this node.
    """

    def act(place: "Place") -> int:
        from remotegpu.site.verbs import images as verb

        found = verb.show(place)
        print_json({"images": found}) if json_output else show(found)
        return 0 if all(image.id for image in found) else FAILED

    return guarded(config, act, json_output=json_output)


@app.command
def pull(*, config: ConfigPath = DEFAULT, json_output: Json = False) -> int:
    """Fetch the images that are not on this node, and those that are only stand-ins."""

    def act(place: "Place") -> int:
        from remotegpu.site.verbs import images as verb

        pulled = verb.pull(place, Steps())
        if json_output:
            print_json({"ok": not pulled.failed, "images": pulled.here, "failed": pulled.failed})
        else:
            show(pulled.here)
            for reference, why in pulled.failed.items():
                print_note(f"remotegpu: {reference}: {why}")
        return FAILED if pulled.failed else 0

    return guarded(config, act, json_output=json_output)


@app.command
def save(
    file: Annotated[Path, Parameter(help="The file to write, such as images.tar.")],
    /,
    *,
    config: ConfigPath = DEFAULT,
    json_output: Json = False,
) -> int:
    """Write all images of the site to one file, for a node without a registry, with checksums of all of it."""

    def act(place: "Place") -> int:
        from remotegpu.site.verbs import images as verb

        index = verb.save(place, file, Steps())
        if json_output:
            print_json({"ok": True, "file": str(file), "images": index.images})
        else:
            print_line(f"{file}: {len(index.images)} images, {show_bytes(file.stat().st_size)}")
            print_line(f"Carry it over, and there: remotegpu site images load {file.name}")
        return 0

    return guarded(config, act, json_output=json_output)


@app.command
def load(
    file: Annotated[Path, Parameter(help="A file of `remotegpu site images save`.")],
    /,
    *,
    dry_run: Annotated[
        bool, Parameter(name="--dry-run", negative=(), help="Check it, and load nothing.")
    ] = False,
    json_output: Json = False,
) -> int:
    """Check such a file from end to end, and load it when all of it is what was saved. Needs no site yet."""
    from remotegpu.site.image_sets.archive import ArchiveError
    from remotegpu.site.runner import CommandError
    from remotegpu.site.verbs import images as verb

    try:
        index = verb.load(file, Steps(), dry_run=dry_run)
    except (ArchiveError, CommandError) as error:
        return failed(error, json_output=json_output)
    if json_output:
        print_json({"ok": True, "loaded": not dry_run, "site": index.site, "images": index.images})
    else:
        print_line(f"{len(index.images)} images {'are whole' if dry_run else 'loaded'}")
        _warn(index.images)
    return 0


def _warn(images: "Sequence[Carried]") -> None:
    for image in images:
        if image.stand_in:
            print_note(f"remotegpu: {image.reference} is a stand-in for tests: {image.stand_in}")
        if "@" in image.reference:
            name = image.reference.partition("@")[0]
            print_note(
                f"remotegpu: {image.reference} was pinned; without a registry this node knows it as {name}. "
                f"Write that as images.{image.name} in remotegpu.yaml here."
            )


def show(images: "Sequence[SiteImage]") -> None:
    rows = [
        [
            image.name,
            image.reference,
            image.id[7:19] or "-",
            show_bytes(image.size) if image.id else "-",
            image.digest[:19] or "-",
            _note(image),
        ]
        for image in images
    ]
    print_table(("FOR", "IMAGE", "ID", "SIZE", "DIGEST", "NOTE"), rows, empty="no images")


def _note(image: "SiteImage") -> str:
    if not image.id:
        return "not on this node"
    if image.stand_in:
        return f"stand-in: {image.stand_in}"
    return "" if image.digest else "built or loaded here"


RESULTS = {
    "pinned": "pinned to the digest",
    "unchanged": "is pinned to it already",
    "no digest": "built or loaded here, so no registry knows a digest of it: pinned by nothing",
    "not here": "not on this node, and could not be pulled",
}


def lock(*, config: ConfigPath = DEFAULT, dry_run: DryRun = False, json_output: Json = False) -> int:
    """Pin the components to what their tags mean today: writes their digests into remotegpu.yaml under images.

    Comments stay. Exit status 1 when a component is pinned by nothing.
    """

    def act(place: "Place") -> int:
        from remotegpu.site.verbs import images as verb

        pins = verb.lock(place, Steps(), dry_run=dry_run)
        is_whole = all(pin.result in {"pinned", "unchanged"} for pin in pins)
        changed = any(pin.result == "pinned" for pin in pins) and not dry_run
        if json_output:
            print_json({"ok": is_whole, "written": changed, "pins": pins})
        else:
            rows = [[pin.component, pin.before, pin.after, RESULTS[pin.result]] for pin in pins]
            print_table(("COMPONENT", "BEFORE", "AFTER", "RESULT"), rows, empty="no components")
            print_line("")
            print_line(f"{place.config_path}: {'written' if changed else 'as it was'}")
        return 0 if is_whole else FAILED

    return guarded(config, act, json_output=json_output)


def register(parent: App) -> None:
    parent.command(app)
    parent.command(lock)
