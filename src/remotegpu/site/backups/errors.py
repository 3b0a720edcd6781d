"""What can go wrong with a backup. Each message says what was found, what was expected, what to do."""


class BackupError(Exception):
    """Root of them all."""


class UsageError(BackupError):
    """The command asks for something that cannot be."""


class NotGoodError(BackupError):
    """Something was looked at from end to end, and the result is bad. The result itself was shown already."""
