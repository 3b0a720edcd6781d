"""``remotegpu backups``: make, check, restore and try out backups. Runs in the site's ``backup`` container."""

from remotegpu.cli.backups import alerts, copies, returns
from remotegpu.cli.backups.shared import app

__all__ = ["alerts", "app", "copies", "returns"]
