"""Old releases go with their images, but for the last ``release.keep`` and whatever still stands in a slot."""

from collections.abc import Sequence

from remotegpu.site import images, runner
from remotegpu.site.commands import docker
from remotegpu.site.deploying.deployment import Deployment
from remotegpu.site.releases import Release


def superfluous(
    releases: Sequence[Release], current: str, in_slots: frozenset[str], keep: int
) -> list[Release]:
    """Pure. ``releases``: oldest first. ``in_slots``: images that stand in a slot."""
    kept_versions: list[str] = []
    for release in reversed(releases):
        if release.version not in kept_versions:
            kept_versions.append(release.version)
    allowed = set(kept_versions[: keep + 1])  # the one that serves, and so many earlier ones
    return [
        release
        for release in releases
        if release.version not in allowed
        and release.id != current
        and not in_slots & set(release.image_ids.values())
    ]


def prune(deployment: Deployment) -> list[str]:
    """Forget them. An image that something else uses stays. Returns their ids."""
    current = deployment.releases.current()
    assert current
    in_slots = frozenset(deployment.variables().values())
    keep = deployment.place.config.release.keep
    gone = superfluous(deployment.releases.all(), current.id, in_slots, keep)
    for release in gone:
        images.let_go(release.image_ids, release.id)
        for reference in release.images.values():
            if runner.attempt(docker.image_id(reference)).output.strip() in release.image_ids.values():
                runner.attempt(docker.remove_image(reference))
        deployment.releases.forget(release)
    return [release.id for release in gone]
