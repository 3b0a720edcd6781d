"""Where a site is: its configuration, the operator's directory with the secrets, the directory it runs in."""

from dataclasses import dataclass
from pathlib import Path

from remotegpu.site.config.loading import load
from remotegpu.site.config.model import Config


@dataclass(frozen=True)
class Place:
    """``config_path``: ``remotegpu.yaml``; the secrets' originals lie beside it. ``directory``: what Compose reads."""

    config: Config
    config_path: Path

    @property
    def directory(self) -> Path:
        return Path(self.config.site.directory)

    @property
    def originals(self) -> Path:
        """Holds ``secrets/``."""
        return self.config_path.parent


def at(config_path: Path) -> Place:
    """Raises :class:`~remotegpu.site.config.problems.ConfigError`."""
    return Place(load(config_path), config_path.absolute())
