"""What can go wrong with a backup. Each message says what was found, what was expected, what to do."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remotegpu.site.backups.manifests import Manifest


class BackupError(Exception):
    """Root of them all."""


class SomeFailedError(BackupError):
    """Something of what was asked for failed. ``made``: manifests of the backups that are here all the same."""

    def __init__(self, message: str, made: Sequence["Manifest"]) -> None:
        super().__init__(message)
        self.made = tuple(made)


class UsageError(BackupError):
    """The command asks for something that cannot be."""


class NotGoodError(BackupError):
    """Something was looked at from end to end, and the result is bad. The result itself was shown already."""
