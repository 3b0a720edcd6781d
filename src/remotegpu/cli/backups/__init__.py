"""``remotegpu backups``: make, check, restore and try out backups. Runs in the site's ``backup`` container."""

from remotegpu.cli.backups import copies, returns
from remotegpu.cli.backups.shared import app

__all__ = ["app", "copies", "returns"]
