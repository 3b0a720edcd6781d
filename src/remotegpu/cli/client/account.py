"""``login``, ``logout``, ``whoami``."""

import getpass
import sys
import time
from typing import Annotated

import msgspec
from cyclopts import Parameter

from remotegpu.cli.credentials import DEFAULT_SERVER, Credentials, CredentialStore, connect, default_server
from remotegpu.cli.output import print_json, print_line, print_note
from remotegpu.client.api import Api, normalized
from remotegpu.client.errors import ApiError, ClientError, NotSignedInError, UsageError
from remotegpu.client.models import SignIn, User
from remotegpu.client.tokens import FixedToken

BODY_DELIVERY = {"X-Token-Delivery": "body"}
"""Asks for the refresh token in the reply instead of in a cookie."""


async def login(
    *,
    server: str | None = None,
    email: str | None = None,
    token_stdin: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Sign in to a server and remember it for this user.

    Parameters
    ----------
    server
        Address of the server; by default the one of the last sign-in, else http://127.0.0.1:8080.
    email
        Who signs in; asked for when left out.
    token_stdin
        Read a personal access token from standard input instead of asking for a password.
    json
        Print server and e-mail as JSON.
    """
    store = CredentialStore()
    address = normalized(server or default_server(store) or DEFAULT_SERVER)
    credentials = await with_token(address) if token_stdin else await with_password(address, email)
    with store.locked():
        store.write(credentials)
    if json:
        print_json({"server": address, "email": credentials.email})
    else:
        print_line(f"Signed in to {address} as {credentials.email}.")


async def with_token(server: str) -> Credentials:
    """Tries the token before it is stored."""
    token = sys.stdin.readline().strip()
    if not token:
        raise UsageError(
            "nothing on standard input", "a personal access token (rgp_…)", "make one in the console"
        )
    async with Api(server, FixedToken(token)) as api:
        user = await api.get("/auth/me", User)
    return Credentials(server=server, email=user.email, personal_token=token)


async def with_password(server: str, email: str | None) -> Credentials:
    """Asks for what is missing; a first sign-in also asks for the new password."""
    email = email or ask("E-mail: ")
    password = ask_secret(f"Password of {email}: ")
    async with Api(server) as api:
        try:
            sign_in = await exchange(api, "/auth/login", {"email": email, "password": password})
        except ApiError as error:
            if error.code != "invalid_credentials":
                raise
            raise NotSignedInError(
                "e-mail and password do not match", "", "check them, then try again"
            ) from error
    if sign_in.must_change_password:
        sign_in = await change_password(server, sign_in, password)
    return Credentials.of_sign_in(server, sign_in, time.time())


async def change_password(server: str, sign_in: SignIn, password: str) -> SignIn:
    """Asks until the server takes the new password."""
    print_note("This is your first sign-in: please choose a new password.")
    async with Api(server, FixedToken(sign_in.access_token)) as api:
        while True:
            new = ask_secret("New password: ")
            if new != ask_secret("New password again: "):
                print_note("The two differ.")
                continue
            body = {"current_password": password, "new_password": new}
            try:
                return await exchange(api, "/auth/password", body)
            except ApiError as error:
                if error.code != "weak_password":
                    raise
                print_note(f"Too weak: {error.found}. {error.expected}")


async def exchange(api: Api, path: str, body: dict[str, str]) -> SignIn:
    """A call that answers with tokens."""
    return msgspec.json.decode(await api.send("POST", path, body=body, headers=BODY_DELIVERY), type=SignIn)


async def logout(*, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """Sign out: the server forgets the session, this computer forgets the sign-in.

    Parameters
    ----------
    json
        Print as JSON whether somebody was signed in, and where.
    """
    store = CredentialStore()
    stored = store.read()
    if stored:
        if stored.refresh_token:
            await end_session(stored)
        store.remove()
    if json:
        print_json({"signed_out": stored is not None, "server": stored.server if stored else None})
    else:
        print_line(f"Signed out of {stored.server}." if stored else "Nobody is signed in.")


async def end_session(stored: Credentials) -> None:
    """The local sign-in goes in any case; a server that cannot be told is reported, since its session lives on."""
    async with Api(stored.server, FixedToken(stored.access_token or "")) as api:
        try:
            await api.send("POST", "/auth/logout", body={"refresh_token": stored.refresh_token})
        except NotSignedInError:
            pass  # it had ended already, which is what was asked for
        except ClientError as error:
            print_note(
                f"The server could not be told: {error.found}. Its session ends by itself within seven days."
            )


async def whoami(*, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """Show who is signed in, and where.

    Parameters
    ----------
    json
        Print the server's reply.
    """
    async with connect() as api:
        body = await api.send("GET", "/auth/me")
        if json:
            print_json(msgspec.Raw(body))
            return
        user = msgspec.json.decode(body, type=User)
        company = f" of {user.customer_name}" if user.customer_name else ""
        print_line(f"{user.email} ({user.role}{company}) at {api.server}")


def ask(prompt: str) -> str:
    """A line from the terminal; the prompt goes to stderr. Raises :class:`UsageError` where nobody can answer."""
    if not sys.stdin.isatty():
        raise UsageError("no terminal to ask for the e-mail", "--email E", "remotegpu login --email E")
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def ask_secret(prompt: str) -> str:
    """A line that is not shown. Without a terminal it is read from standard input, for scripts."""
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    line = sys.stdin.readline()
    if not line:
        raise UsageError(
            "no password on standard input", "one line per question", "remotegpu login in a terminal"
        )
    return line.rstrip("\n")
