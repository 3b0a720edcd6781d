"""What can go wrong between a client and the server. The class knows the command line's exit status."""

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_CONFLICT = 3
EXIT_NOT_SIGNED_IN = 4
EXIT_UNREACHABLE = 5


class ClientError(Exception):
    """Root of them all: what was found, what was expected, and what to do next."""

    exit_code = EXIT_FAILURE

    def __init__(self, found: str, expected: str = "", next_step: str = "") -> None:
        super().__init__(found)
        self.found = found
        self.expected = expected
        self.next_step = next_step

    def __str__(self) -> str:
        parts = [self.found]
        if self.expected:
            parts.append(f"expected: {self.expected}")
        if self.next_step:
            parts.append(f"do next: {self.next_step}")
        return "; ".join(parts)


class UsageError(ClientError):
    """The command line asks for something that cannot be."""

    exit_code = EXIT_USAGE


class NotSignedInError(ClientError):
    """There is no sign-in, or the server no longer accepts it."""

    exit_code = EXIT_NOT_SIGNED_IN


class UnreachableError(ClientError):
    """No answer from the server: refused, timed out, name not found, certificate not trusted."""

    exit_code = EXIT_UNREACHABLE


class ApiError(ClientError):
    """The server answered with a problem. ``code`` is the stable name to compare with, ``status`` the HTTP status."""

    def __init__(self, status: int, code: str, found: str, expected: str, next_step: str) -> None:
        super().__init__(found, expected, next_step)
        self.status = status
        self.code = code
        self.exit_code = EXIT_CONFLICT if status == 409 else EXIT_FAILURE
