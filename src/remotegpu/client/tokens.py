"""Who is asking: the bearer token of a request, and how to get a new one when it was refused."""

from typing import Protocol


class TokenSource(Protocol):
    """``renew`` is called after a 401 with the token that was refused; None means: sign in again."""

    async def bearer(self) -> str | None: ...

    async def renew(self, refused: str) -> str | None: ...


class FixedToken:
    """A personal access token, or an access token for a short program."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def bearer(self) -> str | None:
        return self._token

    async def renew(self, refused: str) -> str | None:  # noqa: ARG002 - nothing to renew from
        return None


class NoToken:
    """Asks without saying who: sign-in, and routes that are open."""

    async def bearer(self) -> str | None:
        return None

    async def renew(self, refused: str) -> str | None:  # noqa: ARG002 - nothing to renew from
        return None
