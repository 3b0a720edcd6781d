"""Short-lived children of the supervisor: ``python -m remotegpu.local.steps NAME DATA_DIR PORT``.

Each is repeatable and leaves a mark when it is done, so that a kill in the middle costs nothing but doing it again.
They run as processes of their own to keep the supervisor's loop free of waiting.
"""

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from remotegpu.kit import files
from remotegpu.local import ports, processes
from remotegpu.local.errors import LocalError
from remotegpu.local.layout import Layout
from remotegpu.local.postgres import DATABASE
from remotegpu.local.secret_files import Secrets

ADMIN_EXISTS_ALREADY = 3
"""``server bootstrap-admin``'s exit code when there is an administrator."""


def roles_mark(layout: Layout) -> Path:
    """Inside the cluster, because it describes that very cluster."""
    return layout.postgres / "remotegpu_roles"


def admin_mark(layout: Layout) -> Path:
    return layout.secrets / "admin_created"


def roles(layout: Layout, _port: int) -> None:
    """Database roles and the database."""
    from remotegpu.local import roles as database_roles  # noqa: PLC0415 - each step loads only what it needs

    database_roles.create(ports.remembered_ports(layout.ports)["postgres"], Secrets(layout.secrets), DATABASE)
    files.write_private(roles_mark(layout), "roles and database exist\n")


def bootstrap(layout: Layout, port: int) -> None:
    """The first administrator, through the server's own command, then a lasting password through the API."""
    from remotegpu.local import bootstrap as first_admin  # noqa: PLC0415 - see above
    from remotegpu.local.plan import ADMIN_EMAIL  # noqa: PLC0415 - see above

    first = first_admin.kept_password(layout.secrets / "admin_first")
    argv = [sys.executable, "-m", "remotegpu.cli.main", "server", "bootstrap-admin", "--email", ADMIN_EMAIL]
    argv += ["--password-file", str(first)]
    ended = processes.run_to_end(argv, directory=layout.root, account=None, timeout_s=60)
    if ended.code not in {0, ADMIN_EXISTS_ALREADY}:
        raise LocalError(
            f"server bootstrap-admin ended with code {ended.code}: {ended.output.strip()[-1000:]}"
        )
    first_admin.administrator(layout, port, first)
    files.write_private(admin_mark(layout), "the first administrator exists\n")


def credentials(layout: Layout, port: int) -> None:
    """Stop keeping the first password once the administrator has chosen another."""
    from remotegpu.local import bootstrap as first_admin  # noqa: PLC0415 - see above

    if first_admin.forget_changed_password(layout, port):
        sys.stderr.write("The administrator has changed the password; the kept one was removed.\n")


def enrol(layout: Layout, port: int) -> None:
    """Enrol this computer with a one-use join token, as ``remotegpu agent enroll`` does on any host."""
    from remotegpu.local import bootstrap as first_admin  # noqa: PLC0415 - see above

    name = socket.gethostname()
    token_file = layout.secrets / "join_token"
    files.write_private(token_file, first_admin.join_token(layout, port, name))
    argv = [sys.executable, "-m", "remotegpu.cli.main", "agent", "enroll"]
    argv += ["--server", f"http://127.0.0.1:{port}", "--token-file", str(token_file), "--name", name]
    argv += ["--env-file", str(layout.agent_env)]
    ended = processes.run_to_end(argv, directory=layout.agent, account=None, timeout_s=60)
    sys.stderr.write(ended.output)
    token_file.unlink(missing_ok=True)
    if ended.code != 0 or not layout.agent_env.exists():
        raise LocalError(f"agent enroll ended with code {ended.code} (see above)")


def agent(layout: Layout, _port: int) -> None:
    """Become the agent, with the variables that enrolment wrote. What the plan set already goes first."""
    variables = parse_environment_file(layout.agent_env.read_text(encoding="utf-8"))
    argv = [sys.executable, "-m", "remotegpu.cli.main", "agent", "run"]
    os.execve(sys.executable, argv, {**variables, **os.environ})  # noqa: S606 - replaces this process on purpose


def parse_environment_file(text: str) -> dict[str, str]:
    """``NAME=value`` lines as systemd reads them: comments and blank lines left out, one pair of quotes removed."""
    variables: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.strip().partition("=")
        if separator and not name.startswith(("#", ";")):
            quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'"
            variables[name.strip()] = value[1:-1] if quoted else value
    return variables


STEPS: dict[str, Callable[[Layout, int], None]] = {
    "roles": roles,
    "bootstrap": bootstrap,
    "credentials": credentials,
    "enrol": enrol,
    "agent": agent,
}


def main(arguments: list[str]) -> int:
    """Exit code 1 with the message on stderr, which is the step's log."""
    name, root, port = arguments
    try:
        STEPS[name](Layout(Path(root)), int(port))
    except LocalError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
