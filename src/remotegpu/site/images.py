"""Images on this node: found, pulled, and kept for as long as a release is.

What runs is named by its id, which is a hash of all of it: whatever a tag comes to mean later, nothing starts anew by
itself.
"""

from collections.abc import Mapping

from remotegpu.site import runner
from remotegpu.site.commands import docker


class ImageError(Exception):
    """An image cannot be had. The message says what to do."""


def fetch(references: Mapping[str, str], registry: str, known: Mapping[str, str]) -> dict[str, str]:
    """The ids of ``references`` (by program), pulled where they are not here. ``known``: ids that are decided already.

    Raises :class:`ImageError`.
    """
    unknown = {program: reference for program, reference in references.items() if program not in known}
    for reference in unknown.values():
        if runner.attempt(docker.image_id(reference)).code != 0:
            if not registry:
                raise ImageError(
                    f"found no image {reference} on this node, and release.registry names no place to pull it from; "
                    "build it, load it with `remotegpu site images load FILE`, or fill in release.registry"
                )
            runner.run(docker.pull(reference))
    return dict(known) | {program: id_of(reference) for program, reference in unknown.items()}


def require(image_ids: Mapping[str, str], version: str) -> None:
    """Raises :class:`ImageError` unless every image of a recorded release is still here."""
    gone = [
        program for program, found in image_ids.items() if runner.attempt(docker.image_id(found)).code != 0
    ]
    if gone:
        raise ImageError(
            f"the images of {version} are gone from this node ({', '.join(gone)}); load them with "
            "`remotegpu site images load FILE`, or name a release that is kept"
        )


def id_of(reference: str) -> str:
    """Raises :class:`~remotegpu.site.runner.CommandError` when it is not here."""
    return runner.run(docker.image_id(reference)).output.strip()


def kept_name(program: str, release_id: str) -> str:
    """A name of our own for an image of a recorded release: an image without any name is cleared away."""
    return f"remotegpu-kept-{program}:{release_id.lower()}"


def keep(image_ids: Mapping[str, str], release_id: str) -> None:
    for program, image_id in image_ids.items():
        runner.run(docker.tag(image_id, kept_name(program, release_id)))


def let_go(programs: Mapping[str, str], release_id: str) -> None:
    """What something else uses, or still has another name, stays."""
    for program in programs:
        runner.attempt(docker.remove_image(kept_name(program, release_id)))
