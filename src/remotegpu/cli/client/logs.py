"""``logs``: one word for two readers. A customer reads a task's log, an operator a service's on this computer."""

import sys

from remotegpu.cli.client.tasks import find_task
from remotegpu.cli.credentials import connect
from remotegpu.client.api import Api
from remotegpu.client.logs import LogEnd, follow_log

SERVICES = frozenset({"postgres", "valkey", "s3", "server", "worker", "agent", "supervisor"})
"""Names of the embedded platform's processes; no task id looks like one of them."""


async def task_log(task: str, *, follow: bool) -> int:
    """Prints a task's log; ``follow`` stays until the task is final."""
    async with connect() as api:
        task_id = await find_task(api, task)
        if not follow:
            sys.stdout.buffer.write(await api.send("GET", f"/tasks/{task_id}/log"))
            return 0
        await print_log(api, task_id)
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
