"""``site alerts``: the site's channels, tried from the node, and told of what failed there."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from zoneinfo import ZoneInfo

from remotegpu.kit.channels import sending
from remotegpu.kit.channels.models import ChannelError, Message
from remotegpu.kit.clock import utc_now
from remotegpu.site.backups import trying
from remotegpu.site.backups.notices import Change, Speaker
from remotegpu.site.backups.trying import Tried
from remotegpu.site.bundle import topology
from remotegpu.site.config import channels
from remotegpu.site.deploying.deployment import DeployError
from remotegpu.site.images import ImageError
from remotegpu.site.place import Place
from remotegpu.site.runner import CommandError

Note = Callable[[str, str], None]
FAILURES = (DeployError, ImageError, CommandError, OSError)


def try_each(place: Place, name: str | None) -> list[Tried]:
    """Raises :class:`~remotegpu.site.backups.errors.UsageError` when there is no such channel."""
    chosen = trying.chosen(channels.on_node(place.config), name)
    return trying.try_each(chosen, speaker_of(place), sending.send)


def speaker_of(place: Place) -> Speaker:
    config = place.config
    return Speaker(
        site=config.site.name,
        language=config.alerts.language,
        zone=ZoneInfo(config.site.timezone),
        link=topology.public_url(config),
    )


@contextmanager
def told(place: Place, note: Note, change: Change) -> Generator[None]:
    """A failure of the body is told once. Whoever started it sees it either way, and what kept others from it."""
    try:
        yield
    except FAILURES as error:
        if place.config.alerts.channels:
            _tell(place, note, speaker_of(place).change_failed(change, reason=str(error), at=utc_now()))
        raise


def _tell(place: Place, note: Note, message: Message) -> None:
    for channel in channels.on_node(place.config):
        try:
            sending.send(channel, message, utc_now())
        except ChannelError as refused:
            note("alerts", str(refused))
        else:
            note("alerts", f"{channel.name} was told")
