"""``logs``: one word for two readers. A customer reads a task's log, an operator a service's on this computer."""

import asyncio
import re
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from remotegpu.cli.client.tasks import find_task
from remotegpu.cli.credentials import connect
from remotegpu.client.api import Api
from remotegpu.client.logs import LogEnd, follow_log

TASK_ID = re.compile(r"[0-9a-fA-F][0-9a-fA-F-]{3,35}")
"""An id or its first characters. No service of the platform has such a name."""


def logs(
    name: str | None = None,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative=())] = False,
    data_dir: Path | None = None,
) -> int:
    """Show the log of a task, or of a service of the platform on this computer.

    `remotegpu logs 3f2a9c1e -f` follows a task until it ends; `remotegpu logs server -f` a service;
    without a name all services are shown.

    Parameters
    ----------
    name
        Id of a task (or its first characters), or name of a service: postgres, valkey, s3, server, worker, agent.
    follow
        Go on showing what is added.
    data_dir
        Of the platform on this computer, for a service.
    """
    if name and TASK_ID.fullmatch(name):
        return asyncio.run(task_log(name, follow=follow))
    from remotegpu.cli.local import service_logs

    return service_logs(name, data_dir=data_dir, follow=follow)


async def task_log(task: str, *, follow: bool) -> int:
    """Prints a task's log; ``follow`` stays until the task is final."""
    async with connect() as api:
        task_id = await find_task(api, task)
        if follow:
            await print_log(api, task_id)
        else:
            sys.stdout.buffer.write(await api.send("GET", f"/tasks/{task_id}/log"))
            sys.stdout.flush()
        return 0


async def print_log(api: Api, task_id: str, *, to_stderr: bool = False) -> LogEnd:
    """Writes chunks as they come; returns how the task ended."""
    output = sys.stderr if to_stderr else sys.stdout
    async for item in follow_log(api, task_id):
        if isinstance(item, LogEnd):
            return item
        output.write(item.text)
        output.flush()
    raise AssertionError("follow_log ends with LogEnd or raises")
