"""Old releases go with their images, but for the last ``release.keep`` and whatever still stands in a slot."""

from collections.abc import Sequence

from remotegpu.site import runner
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
        and not in_slots & set(release.images.values())
    ]


def prune(deployment: Deployment) -> list[str]:
    """Forget them. An image that something else uses stays. Returns their ids."""
    releases = deployment.releases.all()
    current = deployment.releases.current()
    assert current
    in_slots = frozenset(deployment.variables().values())
    gone = superfluous(releases, current.id, in_slots, deployment.place.config.release.keep)
    still_named = {
        reference for release in releases if release not in gone for reference in release.images.values()
    }
    for release in gone:
        for reference in set(release.images.values()) - still_named:
            runner.attempt(docker.remove_image(reference))
        deployment.releases.forget(release)
    return [release.id for release in gone]
