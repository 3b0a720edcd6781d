"""``remotegpu server``: run the control plane and look after it."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from remotegpu import __version__
from remotegpu.kit.environment import SettingsError

if TYPE_CHECKING:
    from remotegpu.server.migrations.planning import Plan
    from remotegpu.server.settings import Settings

app = App(name="server", help="Server, worker, migrations, first administrator.")

USAGE, CONFLICT, FAILED = 2, 3, 4


@app.command
def run() -> int:
    """Serve the API and the console until stopped. Settings come from the environment."""
    from remotegpu.server import serve, settings

    try:
        serve.run(settings.load())
    except SettingsError as error:
        return _complain(str(error))
    return 0


@app.command
def worker() -> int:
    """Run the background work until stopped: expiry, retries, sealing the audit trail."""
    from remotegpu.server import settings
    from remotegpu.server import worker as program

    try:
        program.run(settings.load())
    except SettingsError as error:
        return _complain(str(error))
    return 0


@app.command
def migrate(
    *,
    phase: Literal["pre", "post", "all"] = "all",
    plan: Annotated[bool, Parameter(negative=())] = False,
    lock_deadline: str = "60s",
    statement_timeout: str = "15m",
    release: str | None = None,
    json_output: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Bring the database schema up to this version. Needs DB_OWNER_USER and DB_OWNER_PASSWORD.

    Exit status 4 when it failed; what was not applied is as it was.

    Parameters
    ----------
    phase
        pre: what the new version needs, while the old one still runs. post: the rest, once only the new one runs.
    plan
        Print what would be applied, with its SQL, and change nothing.
    lock_deadline
        How long each migration is tried when other sessions hold its tables. One try waits for a second.
    statement_timeout
        The longest that one statement may take.
    release
        Name of the release, kept in the ledger; by default this version.
    json_output
        Print JSON.
    """
    from remotegpu.server.migrations import run as migrations
    from remotegpu.server.migrations.errors import MigrationError

    try:
        if plan:
            return _show_plan(migrations.plan(phase), json_output=json_output)
        limits = migrations.Limits(
            lock_deadline=_seconds("--lock-deadline", lock_deadline),
            statement=_seconds("--statement-timeout", statement_timeout),
        )
        done = migrations.upgrade(phase, limits=limits, release=release or __version__)
    except SettingsError as error:
        return _complain(str(error))
    except MigrationError as error:
        return _complain(str(error), FAILED)
    if json_output:
        print(json.dumps({"revision": done.revision, "applied": done.applied}))  # noqa: T201 - a command's own output
    else:
        print(f"schema is at {done.revision}", file=sys.stderr)  # noqa: T201 - same
    return 0


def _seconds(option: str, text: str) -> int:
    from remotegpu.kit.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise SettingsError([f"{option}: {error}"]) from error


def _show_plan(plan: "Plan", *, json_output: bool) -> int:
    from remotegpu.server.migrations import planning

    print(json.dumps(plan.as_json()) if json_output else "\n".join(planning.lines(plan)))  # noqa: T201 - a command's own output
    return 0


@app.command
def prepare_objects(*, json_output: Annotated[bool, Parameter(name="--json", negative=())] = False) -> int:
    """Make the bucket of logs and artifacts when it is missing. Needs the server's settings.

    Parameters
    ----------
    json_output
        Print JSON.
    """
    from remotegpu.server import settings
    from remotegpu.server.core import bucket
    from remotegpu.server.core.errors import RemoteGPUError

    try:
        objects = settings.load().objects
        made = asyncio.run(bucket.ensure(objects))
    except SettingsError as error:
        return _complain(str(error))
    except RemoteGPUError as error:
        return _complain(error.detail, FAILED)
    if json_output:
        print(json.dumps({"bucket": objects.bucket, "made": made}))  # noqa: T201 - a command's own output
    else:
        print(f"bucket {objects.bucket}: {'made' if made else 'there already'}")  # noqa: T201 - same
    return 0


@app.command
def rotate_agent_token(
    node: str, /, *, json_output: Annotated[bool, Parameter(name="--json", negative=())] = False
) -> int:
    """Ask a GPU host to take a new token. The old one stays valid for a short overlap.

    Parameters
    ----------
    node
        The machine's name.
    json_output
        Print JSON.
    """
    from remotegpu.server import administration, settings
    from remotegpu.server.core.errors import RemoteGPUError

    try:
        asyncio.run(administration.rotate_agent_token(settings.load(), node))
    except SettingsError as error:
        return _complain(str(error))
    except RemoteGPUError as error:
        return _complain(error.detail, FAILED)
    if json_output:
        print(json.dumps({"asked": node}))  # noqa: T201 - a command's own output
    else:
        print(f"{node} takes a new token at its next poll")  # noqa: T201 - same
    return 0


@app.command
def bootstrap_admin(
    *,
    email: str,
    password_file: Path | None = None,
    json_output: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Create the first administrator and print the random password, once.

    Parameters
    ----------
    email
        Address to sign in with.
    password_file
        Take the first password from this file instead of making one; it is not printed then.
    json_output
        Print JSON.
    """
    from remotegpu.server import administration, settings
    from remotegpu.server.core.errors import ConflictError, RemoteGPUError

    try:
        chosen = _password_in(password_file)
        password = asyncio.run(administration.bootstrap_admin(settings.load(), email, chosen))
    except SettingsError as error:
        return _complain(str(error))
    except ConflictError as error:
        return _complain(error.detail, CONFLICT)
    except RemoteGPUError as error:
        fields = [f"- found {field.found}, expected {field.expected}" for field in error.errors]
        return _complain("\n".join([error.detail, *fields]), FAILED)
    shown = password if chosen is None else f"as in {password_file}"
    if json_output:
        secret = {"password": password} if chosen is None else {"password_file": str(password_file)}
        print(json.dumps({"email": email} | secret))  # noqa: T201 - a command's own output
    else:
        print(f"Administrator {email}\nFirst password {shown} (must be changed at the first sign-in)")  # noqa: T201 - same
    return 0


@app.command
def add_admin(*, email: str, json_output: Annotated[bool, Parameter(name="--json")] = False) -> int:
    """Create one more administrator and print the random first password, once.

    Parameters
    ----------
    email
        Address to sign in with.
    json_output
        Print JSON.
    """
    from remotegpu.server import administration

    return _with_first_password(email, administration.add_admin, json_output=json_output)


@app.command
def reset_password(*, email: str, json_output: Annotated[bool, Parameter(name="--json")] = False) -> int:
    """Give an account a new first password and print it, once. Ends its sessions; for an administrator who lost theirs.

    Parameters
    ----------
    email
        The account's address.
    json_output
        Print JSON.
    """
    from remotegpu.server import administration

    return _with_first_password(email, administration.reset_password, json_output=json_output)


def _with_first_password(
    email: str, make: "Callable[[Settings, str], Coroutine[None, None, str]]", *, json_output: bool
) -> int:
    from remotegpu.server import settings
    from remotegpu.server.core.errors import ConflictError, RemoteGPUError

    try:
        password = asyncio.run(make(settings.load(), email))
    except SettingsError as error:
        return _complain(str(error))
    except ConflictError as error:
        return _complain(error.detail, CONFLICT)
    except RemoteGPUError as error:
        return _complain(error.detail, FAILED)
    if json_output:
        print(json.dumps({"email": email, "password": password}))  # noqa: T201 - a command's own output
    else:
        print(f"{email}\nFirst password {password} (must be changed at the first sign-in)")  # noqa: T201 - same
    return 0


def _password_in(path: Path | None) -> str | None:
    """Raises :class:`SettingsError` for a file that cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip() if path else None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"--password-file: {error}"]) from error


@app.command
def openapi(*, output: Path | None = None) -> int:
    """Print the OpenAPI document, or write it to a file. Needs no database.

    Parameters
    ----------
    output
        File to write.
    """
    from remotegpu.server import administration

    document = administration.openapi_document()
    if output is None:
        print(document)  # noqa: T201 - a command's own output
    else:
        output.write_text(document + "\n", encoding="utf-8")
    return 0


@app.command
def audit_verify(*, json_output: Annotated[bool, Parameter(name="--json")] = False) -> int:
    """Recompute the audit trail's hash chain. Exit status 1 when it does not hold, 4 when it could not be read.

    Parameters
    ----------
    json_output
        Print JSON.
    """
    from dataclasses import asdict

    from remotegpu.server import administration, settings
    from remotegpu.server.core.errors import RemoteGPUError

    try:
        report = asyncio.run(administration.verify_audit(settings.load()))
    except SettingsError as error:
        return _complain(str(error))
    except RemoteGPUError as error:
        return _complain(error.detail, FAILED)
    print(json.dumps(asdict(report)) if json_output else report.detail)  # noqa: T201 - a command's own output
    return 0 if report.ok else 1


def _complain(message: str, status: int = USAGE) -> int:
    print(message, file=sys.stderr)  # noqa: T201 - a command's own output
    return status
