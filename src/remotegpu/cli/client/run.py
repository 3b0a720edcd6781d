"""``run``: submit a task, follow its log, end with its exit status."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from remotegpu.cli.client.logs import print_log
from remotegpu.cli.client.machines import find_machine
from remotegpu.cli.client.submission import Submission, choose_work, parse_env, parse_timeout
from remotegpu.cli.credentials import connect
from remotegpu.cli.output import print_json, print_line, print_note
from remotegpu.client.api import Api
from remotegpu.client.errors import ClientError
from remotegpu.client.logs import LogEnd
from remotegpu.client.models import Task

STATUS_TIMED_OUT = 124
"""As timeout(1) ends."""
STATUS_STOPPED = 130
"""As a program ends that Ctrl-C stopped."""


async def run(
    *command: Annotated[str, Parameter(allow_leading_hyphen=True)],
    machine: Annotated[str, Parameter(name=["--machine", "-m"])],
    name: str | None = None,
    gpus: int | None = None,
    env: Annotated[tuple[str, ...], Parameter(name=["--env", "-e"], negative=())] = (),
    timeout: str | None = None,  # noqa: ASYNC109 - the task's own limit, enforced on its machine
    retries: int | None = None,
    priority: int | None = None,
    python: Path | None = None,
    script: Path | None = None,
    detach: Annotated[bool, Parameter(name=["--detach", "-d"], negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Run a task on a machine, follow its log, and end with its exit status.

    Ctrl-C asks the task to stop; a second Ctrl-C leaves it to itself. Statuses of its own: 124 timed out,
    130 stopped, 128+N ended by signal N, 1 could not run.

    Parameters
    ----------
    command
        What to run, after `--`; with --python or --script, the arguments for the file.
    machine
        Name or id of the machine.
    name
        Name of the task; by default that of the file or program.
    gpus
        How many GPUs it gets.
    env
        NAME=VALUE for its environment; may be repeated.
    timeout
        Longest run, such as 90s, 15m or 2h.
    retries
        How often to run it again after a failure.
    priority
        1 (first) to 10.
    python
        Run this Python file.
    script
        Run this file by its #! line.
    detach
        Submit and return at once.
    json
        Print the task at the end as JSON (its log goes to stderr).
    """
    work = choose_work(python, script, command)
    async with connect() as api:
        submission = Submission(
            machine_id=(await find_machine(api, machine)).id,
            name=name or work.name,
            kind=work.kind,
            command=work.command,
            args=work.args,
            env=parse_env(env),
            timeout_s=parse_timeout(timeout) if timeout else None,
            priority=priority,
            max_retries=retries,
            gpus=gpus,
        )
        task = await api.post("/tasks", Task, submission, idempotent=True)
        if detach:
            print_json(task) if json else print_line(task.id)
            return 0
        print_note(f"{task.name}: task {task.id} on {task.machine_name or machine}")
        return await follow(api, task.id, json=json)


async def follow(api: Api, task_id: str, *, json: bool) -> int:
    """Shows the log until the task is final."""
    async with stop_on_interrupt(api, task_id):
        end = await print_log(api, task_id, to_stderr=json)
    if end.truncated:
        print_note("The log was cut off at its size limit; the task itself was not.")
    body = await api.send("GET", f"/tasks/{task_id}")
    if json:
        print_json(msgspec.Raw(body))
    task = msgspec.json.decode(body, type=Task)
    if task.state != "succeeded":
        print_note(f"{task.name}: {task.state}" + (f" ({task.reason})" if task.reason else ""))
    return exit_status(end)


def exit_status(end: LogEnd) -> int:
    """The task's own exit status where it has one; see the command's description for the others."""
    if end.state == "succeeded":
        return 0
    if end.state == "timed_out":
        return STATUS_TIMED_OUT
    if end.state in {"stopped", "cancelled"}:
        return STATUS_STOPPED
    if end.exit_code is None or end.exit_code == 0:
        return 1
    return 128 - end.exit_code if end.exit_code < 0 else end.exit_code


@asynccontextmanager
async def stop_on_interrupt(api: Api, task_id: str) -> AsyncGenerator[None]:
    """First Ctrl-C: ask the server to stop the task, and go on following. Second: leave."""
    loop = asyncio.get_running_loop()
    me = asyncio.current_task()
    asked: list[asyncio.Task[None]] = []

    async def ask() -> None:
        try:
            await api.send("POST", f"/tasks/{task_id}/stop")
        except ClientError as error:
            print_note(f"The task could not be stopped: {error}")

    def interrupted() -> None:
        if asked:
            print_note(f"The task goes on without you: remotegpu logs {task_id} -f")
            if me is not None:
                me.cancel()
            return
        print_note("Asking the task to stop; Ctrl-C again to leave it.")
        asked.append(asyncio.create_task(ask()))

    loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        yield
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        await asyncio.gather(*asked)
