"""``remotegpu agent``: enrol this host, run the agent, look at it.

Exit status beside 0: 1 refused or failed, 2 unusable settings, 3 an agent runs on this data directory already (for
``status``: none runs), 4 the data directory cannot be used.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

app = App(name="agent", help="The program on a GPU host.", help_format="plaintext")

EXIT_FAILED = 1
EXIT_SETTINGS = 2
EXIT_NOT_RUNNING = 3

SimulateGpus = Annotated[
    int | None,
    Parameter(
        help="Offer this many simulated GPUs instead of real ones, labelled as such.",
        env_var="REMOTEGPU_SIMULATE_GPUS",
    ),
]
IsolationFlag = Annotated[
    Literal["linux", "directory"] | None,
    Parameter(
        help="linux: an account per customer, needs root (default as root). directory: for evaluation, no root.",
        env_var="REMOTEGPU_ISOLATION",
    ),
]
EnvFile = Annotated[
    Path | None,
    Parameter(
        help="The agent's environment file (default: /etc/remotegpu/agent.env; ~/.config/… without root)."
    ),
]
Json = Annotated[bool, Parameter(negative=(), help="Print one JSON document instead.")]
DataDir = Annotated[
    Path | None, Parameter(help="Where the agent keeps its state.", env_var="REMOTEGPU_DATA_DIR")
]


@app.command
def enroll(
    *,
    server: Annotated[str, Parameter(help="The server's URL, such as https://gpu.example.com.")],
    token_file: Annotated[
        str, Parameter(help="File with the join token, or - for stdin.", allow_leading_hyphen=True)
    ],
    name: Annotated[str | None, Parameter(help="The machine's name (default: the host name).")] = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
    simulate_gpus: SimulateGpus = None,
    isolation: IsolationFlag = None,
    force: Annotated[
        bool, Parameter(negative=(), help="Enrol again although this host is enrolled.")
    ] = False,
    json: Json = False,
) -> int:
    """Exchange a join token for this host's own token, and write the agent's environment file."""
    from remotegpu.agent.enrolment import EnrolmentError, EnrolmentPlan, enrol
    from remotegpu.agent.settings import default_data_dir
    from remotegpu.kit.environment import SettingsError

    plan = EnrolmentPlan(
        server_url=server,
        token_file=token_file,
        env_file=env_file or default_env_file(),
        data_dir=data_dir or default_data_dir(is_root=os.geteuid() == 0),
        name=name,
        simulate_gpus=simulate_gpus or 0,
        isolation=isolation or "",
        force=force,
    )
    try:
        response = enrol(plan)
    except SettingsError as error:
        return _failed(str(error), EXIT_SETTINGS)
    except EnrolmentError as error:
        return _failed(f"remotegpu agent enroll: {error}", EXIT_FAILED)
    sys.stdout.write(_enrolled(response.machine_id, plan.env_file, as_json=json) + "\n")
    return 0


def _enrolled(machine_id: str, env_file: Path, *, as_json: bool) -> str:
    """Without the node's token: that stays in the file."""
    import msgspec

    if as_json:
        document = {"machine_id": machine_id, "env_file": str(env_file)}
        return msgspec.json.format(msgspec.json.encode(document)).decode()
    return f"Enrolled as machine {machine_id}. Its settings are in {env_file}."


@app.command
def run(
    *, env_file: EnvFile = None, simulate_gpus: SimulateGpus = None, isolation: IsolationFlag = None
) -> int:
    """Run the agent in the foreground, until SIGTERM. Settings come from the environment, then the file."""
    from remotegpu.agent.enrolment import with_env_file

    environ = dict(os.environ)
    if simulate_gpus is not None:
        environ["REMOTEGPU_SIMULATE_GPUS"] = str(simulate_gpus)
    if isolation is not None:
        environ["REMOTEGPU_ISOLATION"] = isolation
    try:
        environ = with_env_file(environ, env_file or _default_env_file_if_needed(environ))
    except OSError as error:
        return _failed(f"cannot read {error.filename}: {error.strerror}", EXIT_SETTINGS)
    sys.stdout.flush()
    # A program of its own, without this command line and its libraries: the agent stays for months.
    return _replace_with_agent(environ)


def _replace_with_agent(environ: dict[str, str]) -> int:
    os.execve(sys.executable, [sys.executable, "-m", "remotegpu.agent.main"], environ)  # noqa: S606 — see `run`


@app.command
def status(
    *,
    data_dir: DataDir = None,
    env_file: EnvFile = None,
    json: Json = False,
) -> int:
    """Show how the agent on this host is doing. Ends with 3 when none runs."""
    import msgspec

    from remotegpu.agent import status as agent_status

    folder = data_dir or _data_dir_from(env_file)
    try:
        found = agent_status.read(folder)
    except FileNotFoundError:
        return _failed(
            f"no agent ever ran with the data directory {folder}; see --data-dir", EXIT_NOT_RUNNING
        )
    except OSError as error:
        return _failed(f"cannot read {error.filename}: {error.strerror}", EXIT_FAILED)
    text = msgspec.json.format(msgspec.json.encode(found)).decode() if json else agent_status.describe(found)
    sys.stdout.write(text + "\n")
    return 0 if found.running else EXIT_NOT_RUNNING


def default_env_file() -> Path:
    """Where ``enroll`` writes and ``run`` reads."""
    if os.geteuid() == 0:
        return Path("/etc/remotegpu/agent.env")
    return Path.home() / ".config" / "remotegpu" / "agent.env"


def _default_env_file_if_needed(environ: dict[str, str]) -> Path | None:
    """Under systemd the variables are set already; by hand, right after ``enroll``, they are not."""
    if any(environ.get(key) for key in ("REMOTEGPU_AGENT_TOKEN", "REMOTEGPU_AGENT_TOKEN_FILE")):
        return None
    return default_env_file() if default_env_file().exists() else None


def _data_dir_from(env_file: Path | None) -> Path:
    from remotegpu.agent.enrolment import with_env_file
    from remotegpu.agent.settings import default_data_dir

    file = env_file or default_env_file()
    environ = with_env_file(os.environ, file if file.exists() else None)
    named = environ.get("REMOTEGPU_DATA_DIR")
    return Path(named) if named else default_data_dir(is_root=os.geteuid() == 0)


def _failed(message: str, status: int) -> int:
    sys.stderr.write(message + "\n")
    return status


if __name__ == "__main__":
    raise SystemExit(app(result_action="return_value"))
