"""``tasks`` and ``task show | stop``, and finding one by the short id a person types."""

from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from remotegpu.cli.client.machines import find_machine, is_id
from remotegpu.cli.credentials import connect
from remotegpu.cli.output import print_json, print_line, print_table, show_age, show_bytes, show_time
from remotegpu.client.api import Api
from remotegpu.client.errors import ClientError
from remotegpu.client.models import Task

COLUMNS = ("ID", "NAME", "STATE", "EXIT", "MACHINE", "BY", "AGE")
SHORT_ID = 8
"""Characters of an id in tables; enough to name a task again."""

app = App(name="task", help="Show or stop one task.")


async def tasks(
    *,
    state: str | None = None,
    machine: str | None = None,
    limit: Annotated[int, Parameter(name=["--limit", "-n"])] = 50,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """List tasks, the newest first.

    Parameters
    ----------
    state
        Only those in this state (queued, assigned, running, succeeded, failed, timed_out, stopped, cancelled).
    machine
        Only those of this machine.
    limit
        How many at most, up to 200.
    json
        Print the server's rows.
    """
    async with connect() as api:
        filters: dict[str, str | int] = {"sort": "-created_at", "page_size": limit}
        if state:
            filters["state"] = state
        if machine:
            filters["machine_id"] = (await find_machine(api, machine)).id
        rows = (await api.get("/tasks", _Rows, filters)).items
    if json:
        print_json(rows)
        return
    found = [msgspec.json.decode(row, type=Task) for row in rows]
    print_table(COLUMNS, [row_of(task) for task in found], empty="No tasks.")


class _Rows(msgspec.Struct):
    items: list[msgspec.Raw]


def row_of(task: Task) -> tuple[str, ...]:
    return (
        task.id[:SHORT_ID],
        task.name,
        task.state,
        "-" if task.exit_code is None else str(task.exit_code),
        task.machine_name or task.machine_id[:SHORT_ID],
        task.submitted_by_name or "-",
        show_age(task.created_at),
    )


@app.command
async def show(task: str, *, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """Show one task.

    Parameters
    ----------
    task
        Its id, or the first characters of it.
    json
        Print the server's reply.
    """
    async with connect() as api:
        body = await api.send("GET", f"/tasks/{await find_task(api, task)}")
    if json:
        print_json(msgspec.Raw(body))
        return
    print_task(msgspec.json.decode(body, type=Task))


@app.command
async def stop(task: str, *, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """Ask a task to stop: it gets SIGTERM, then SIGKILL.

    Parameters
    ----------
    task
        Its id, or the first characters of it.
    json
        Print the server's reply.
    """
    async with connect() as api:
        body = await api.send("POST", f"/tasks/{await find_task(api, task)}/stop")
    if json:
        print_json(msgspec.Raw(body))
        return
    stopped = msgspec.json.decode(body, type=Task)
    print_line(f"{stopped.name}: asked to stop, now {stopped.state}.")


def print_task(task: Task) -> None:
    facts = {
        "id": task.id,
        "name": task.name,
        "state": task.state + (f" ({task.reason})" if task.reason else ""),
        "exit code": "-" if task.exit_code is None else str(task.exit_code),
        "machine": task.machine_name or task.machine_id,
        "kind": task.kind,
        "GPUs": str(task.gpus),
        "attempt": str(task.attempt or "-"),
        "submitted": f"{show_time(task.created_at)} by {task.submitted_by_name or '-'}",
        "started": show_time(task.started_at),
        "finished": show_time(task.finished_at),
        "log": show_bytes(task.log_bytes) + (" (cut off)" if task.log_truncated else ""),
    }
    for name, value in facts.items():
        print_line(f"{name:<10} {value}")
    for artifact in task.artifacts:
        print_line(f"{'artifact':<10} {artifact.path} ({show_bytes(artifact.size_bytes)})")


async def find_task(api: Api, text: str) -> str:
    """The full id for an id or its beginning. Raises :class:`ClientError` when none or several begin so."""
    if is_id(text):
        return text
    wanted = text.lower()
    rows = (await api.get("/tasks", _Rows, {"sort": "-created_at", "page_size": 200})).items
    found = [task.id for row in rows if (task := msgspec.json.decode(row, type=Task)).id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    what = (
        f"{len(found)} tasks whose ids begin with {text}"
        if found
        else f"no task whose id begins with {text!r}"
    )
    raise ClientError(what, "one of the newest 200 tasks, or a full id", "remotegpu tasks")
