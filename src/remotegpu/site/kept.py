"""Where copies of a site's configuration and of its secrets lie among its backups, and how many stay."""

from collections.abc import Iterable

CONFIGURATION = "config"
SECRETS = "secrets"
FOLDERS = (CONFIGURATION, SECRETS)
"""In the folder of backups. A copy's name begins with the time it was made at."""
KEPT = 50
"""So many of each; a change a week is a year."""


def superfluous(names: Iterable[str]) -> list[str]:
    """The oldest, beyond those that are kept. Pure."""
    return sorted(names, reverse=True)[KEPT:]
