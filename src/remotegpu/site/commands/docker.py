"""Argument lists for Docker."""

from remotegpu.site.runner import Command


def image_id(reference: str) -> Command:
    """Prints the id: a hash of all of the image."""
    return Command(argv=("docker", "image", "inspect", "--format", "{{.Id}}", reference))


def image_label(reference: str, label: str) -> Command:
    """Prints the label, or nothing."""
    template = f'{{{{with index .Config.Labels "{label}"}}}}{{{{.}}}}{{{{end}}}}'
    return Command(argv=("docker", "image", "inspect", "--format", template, reference))


def pull(reference: str) -> Command:
    return Command(argv=("docker", "pull", "--quiet", reference), timeout_s=1800)


def tag(image: str, reference: str) -> Command:
    return Command(argv=("docker", "tag", image, reference))


def remove_image(reference: str) -> Command:
    return Command(argv=("docker", "image", "rm", reference))


def server_version() -> Command:
    return Command(argv=("docker", "version", "--format", "{{.Server.Version}}"), timeout_s=15)


def save(references: tuple[str, ...], file: str) -> Command:
    return Command(argv=("docker", "save", "--output", file, *references), timeout_s=1800)


def load(file: str) -> Command:
    return Command(argv=("docker", "load", "--input", file), timeout_s=1800)


def describe_images(references: tuple[str, ...]) -> Command:
    """One JSON object per line; ends with 1 when some of them are not here, after those that are."""
    return Command(argv=("docker", "image", "inspect", "--format", "{{json .}}", *references))


def describe_containers(ids: tuple[str, ...]) -> Command:
    """One JSON object per line: also what Compose does not tell, such as restarts."""
    return Command(argv=("docker", "container", "inspect", "--format", "{{json .}}", *ids))


def root_directory() -> Command:
    """Prints where the engine keeps images and volumes."""
    return Command(argv=("docker", "info", "--format", "{{.DockerRootDir}}"), timeout_s=15)
