"""The sign-in of this user on this computer: ``~/.config/remotegpu/credentials.json``, readable by the user alone.

Several ``remotegpu`` processes run at once (each open ``ssh`` has one). The refresh token works once, so renewing
happens under a file lock, and whoever waited takes what the other one wrote.
"""

import asyncio
import fcntl
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from remotegpu.client.api import Api, normalized
from remotegpu.client.errors import ApiError, ClientError, NotSignedInError
from remotegpu.client.models import SignIn
from remotegpu.client.tokens import FixedToken, TokenSource

SERVER_ENV = "REMOTEGPU_SERVER_URL"
TOKEN_ENV = "REMOTEGPU_TOKEN"  # noqa: S105 - the name of a variable
DEFAULT_SERVER = "http://127.0.0.1:8080"
EARLY_S = 30.0
"""An access token this close to its end is renewed before use."""


class Credentials(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Either a personal access token, or the pair of a signed-in session. ``expires_at`` in epoch seconds."""

    server: str
    email: str = ""
    personal_token: str | None = None
    access_token: str | None = None
    refresh_token: str | None = None
    expires_at: float = 0.0

    @classmethod
    def of_sign_in(cls, server: str, sign_in: SignIn, now: float) -> "Credentials":
        return cls(
            server=server,
            email=sign_in.user.email,
            access_token=sign_in.access_token,
            refresh_token=sign_in.refresh_token,
            expires_at=now + sign_in.expires_in,
        )


class CredentialStore:
    """One file, replaced as a whole, never readable by others."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or config_folder()
        self.path = self.folder / "credentials.json"

    def read(self) -> Credentials | None:
        """None when nobody signed in. Raises :class:`ClientError` for a damaged file."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Credentials)
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise ClientError(
                f"{self.path} is damaged ({error})",
                "the JSON that remotegpu login writes",
                "remotegpu login again",
            ) from error

    def write(self, credentials: Credentials) -> None:
        self._make_folder()
        draft = self.path.with_suffix(f".{os.getpid()}.new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(credentials), indent=2))
        draft.replace(self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Generator[None]:
        """Blocks while another process renews; that takes one HTTP call."""
        self._make_folder()
        with (self.folder / "credentials.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _make_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)


class StoredSession:
    """The token source of the command line: reads the file, renews when due, writes back."""

    def __init__(
        self, store: CredentialStore, credentials: Credentials, now: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._credentials = credentials
        self._now = now

    async def bearer(self) -> str | None:
        if self._credentials.personal_token:
            return self._credentials.personal_token
        if self._is_fresh(self._credentials):
            return self._credentials.access_token
        return await self._renew_unless(self._is_fresh)

    async def renew(self, refused: str) -> str | None:
        if self._credentials.personal_token:
            return None
        return await self._renew_unless(
            lambda current: current.access_token != refused and self._is_fresh(current)
        )

    def _is_fresh(self, credentials: Credentials) -> bool:
        return bool(credentials.access_token) and self._now() < credentials.expires_at - EARLY_S

    async def _renew_unless(self, is_good: Callable[[Credentials], bool]) -> str | None:
        """Under the lock: takes a token another process just got, or gets one."""
        lock = self._store.locked()
        await asyncio.to_thread(lock.__enter__)
        try:
            current = self._store.read()
            if current is None or not current.refresh_token:
                return None
            if not is_good(current):
                current = await self._refresh(current)
                self._store.write(current)
            self._credentials = current
            return current.access_token
        finally:
            lock.__exit__(None, None, None)

    async def _refresh(self, current: Credentials) -> Credentials:
        """Raises :class:`NotSignedInError` when the server no longer takes the refresh token."""
        async with Api(current.server) as api:
            try:
                body = {"refresh_token": current.refresh_token}
                reply = await api.send(
                    "POST", "/auth/refresh", body=body, headers={"X-Token-Delivery": "body"}
                )
            except (ApiError, NotSignedInError) as error:
                if isinstance(error, ApiError) and error.status not in {401, 403}:
                    raise
                raise NotSignedInError(
                    f"the sign-in of {current.email} at {current.server} has ended ({error.found})",
                    "a sign-in that is still valid",
                    "remotegpu login",
                ) from error
        sign_in = msgspec.json.decode(reply, type=SignIn)
        renewed = Credentials.of_sign_in(current.server, sign_in, self._now())
        return msgspec.structs.replace(renewed, refresh_token=renewed.refresh_token or current.refresh_token)


def config_folder() -> Path:
    """``$XDG_CONFIG_HOME/remotegpu``, by default ``~/.config/remotegpu``."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "remotegpu"


def connect(store: CredentialStore | None = None) -> Api:
    """The API as whoever is signed in: ``REMOTEGPU_TOKEN`` first (scripts, CI), then the stored sign-in.

    Raises :class:`NotSignedInError` when there is neither.
    """
    store = store or CredentialStore()
    token = os.environ.get(TOKEN_ENV)
    stored = None if token else store.read()
    server = os.environ.get(SERVER_ENV) or (stored.server if stored else DEFAULT_SERVER)
    if token:
        return Api(server, FixedToken(token))
    if stored is None or normalized(server) != stored.server:
        raise NotSignedInError(f"no sign-in at {server}", "a sign-in", f"remotegpu login --server {server}")
    tokens: TokenSource = StoredSession(store, stored)
    return Api(server, tokens)


def default_server(store: CredentialStore) -> str | None:
    """Where to sign in when nothing was said: the environment's, else that of the last sign-in."""
    stored = store.read()
    return os.environ.get(SERVER_ENV) or (stored.server if stored else None)
