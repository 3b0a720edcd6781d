"""Images on this node: found, pulled, and held to what they were when a release was recorded."""

from remotegpu.site import runner
from remotegpu.site.commands import docker


class ImageError(Exception):
    """An image cannot be had. The message says what to do."""


def find(reference: str, registry: str) -> None:
    """Have it here. Raises :class:`ImageError`."""
    if runner.attempt(docker.image_id(reference)).code == 0:
        return
    if not registry:
        raise ImageError(
            f"found no image {reference} on this node, and release.registry names no place to pull it from; "
            "build it, load it with `remotegpu site images load FILE`, or fill in release.registry"
        )
    runner.run(docker.pull(reference))


def require(reference: str, image_id: str) -> None:
    """Let ``reference`` mean the image it meant when it was recorded. Raises :class:`ImageError`."""
    found = runner.attempt(docker.image_id(reference))
    if found.code == 0 and found.output.strip() == image_id:
        return
    if runner.attempt(docker.tag(image_id, reference)).code != 0:
        raise ImageError(
            f"the image of {reference} is gone from this node (expected {image_id}); load it with "
            "`remotegpu site images load FILE`, or name a release that is kept"
        )


def id_of(reference: str) -> str:
    """A hash of all of the image. Raises :class:`~remotegpu.site.runner.CommandError` when it is not here."""
    return runner.run(docker.image_id(reference)).output.strip()
