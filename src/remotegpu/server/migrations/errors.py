"""What stops a migration. The message is for an operator: what was found, what holds now, what to do next."""


class MigrationError(Exception):
    """Nothing was changed that the message does not name."""


class ChainError(MigrationError):
    """The files of the revisions contradict the rules; only a developer can mend that."""
