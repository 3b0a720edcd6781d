"""What can go wrong on the way up, each with its exit code. The message says what was found and what to do."""


class LocalError(Exception):
    """Root of the embedded platform's errors. ``exit_code`` is what the command line ends with."""

    exit_code = 1


class ServiceFailedError(LocalError):
    """A child process did not become ready; the message ends with the tail of its log."""

    exit_code = 1


class NotRunningError(LocalError):
    """``status`` found no running platform (3, as ``systemctl status`` says it)."""

    exit_code = 3


class PortBusyError(LocalError):
    """The console's port is taken by somebody else."""

    exit_code = 10


class DataDirError(LocalError):
    """The data directory is half-made, damaged, or not ours."""

    exit_code = 11


class NewerDataDirError(LocalError):
    """The data directory was written by a newer RemoteGPU."""

    exit_code = 12


class UnwritableDataDirError(LocalError):
    """The data directory cannot be created, written, or entered by the account that runs PostgreSQL."""

    exit_code = 13


class DiskFullError(LocalError):
    """Less free space than the platform needs to start."""

    exit_code = 14


class MissingLibraryError(LocalError):
    """A wheel of the ``local`` extra is absent or broken."""

    exit_code = 15


class AlreadyRunningError(LocalError):
    """Another supervisor owns this data directory."""

    exit_code = 16
