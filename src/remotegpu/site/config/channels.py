"""The alert channels of a site as those who send need them: on the node, and in the ``backup`` container.

Pure but for ``problems``.
"""

from collections.abc import Callable, Iterator

import msgspec

from remotegpu.kit.channels import keys
from remotegpu.kit.channels.models import Channel
from remotegpu.site.config import model
from remotegpu.site.config.model import Config
from remotegpu.site.config.problems import ConfigProblem

SUFFIX = "_file"


def on_node(config: Config) -> list[Channel]:
    """With the files that the configuration names."""
    return [_channel(entry, lambda _field, path: path) for entry in config.alerts.channels]


def in_container(config: Config, folder: str) -> list[Channel]:
    """With their copies in ``folder``."""

    def placed(name: str) -> Callable[[str, str], str]:
        return lambda field, _path: f"{folder}/{copy_name(name, field)}"

    return [_channel(entry, placed(entry.name)) for entry in config.alerts.channels]


def copies(config: Config) -> Iterator[tuple[str, str]]:
    """Name of each copy, and the file on the node that it is one of."""
    for entry in config.alerts.channels:
        for field in entry.__struct_fields__:
            path = getattr(entry, field)
            if field.endswith(SUFFIX) and path:
                yield copy_name(entry.name, field), path


def problems(config: Config) -> Iterator[ConfigProblem]:
    """What keeps their files from being used. Reads them, and repeats nothing of what they hold."""
    for number, channel in enumerate(on_node(config)):
        for wrong in keys.problems(channel):
            key = f"alerts.channels[{number}].{wrong.field}"
            yield ConfigProblem(key, wrong.found, wrong.expected, wrong.remedy)


def copy_name(channel: str, field: str) -> str:
    """``channel_ops_url`` for ``url_file`` of ``ops``."""
    return f"channel_{channel}_{field.removesuffix(SUFFIX)}"


def _channel(entry: model.AnyChannel, place: Callable[[str, str], str]) -> Channel:
    fields = msgspec.to_builtins(entry)
    moved = {field: place(field, path) for field, path in fields.items() if field.endswith(SUFFIX) and path}
    return msgspec.convert(fields | moved, Channel)
