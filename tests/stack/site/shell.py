"""A process with an open terminal: ``python -m stack.site.shell URL MACHINE``, the access token as its first line.

Each further line is typed as a command; the answer is one line of JSON, ``{"said": ...}`` or ``{"failed": ...}``.
"""

import asyncio
import json
import sys

from remotegpu.client.api import Api
from remotegpu.client.errors import ClientError
from remotegpu.client.terminal import open_terminal
from remotegpu.client.tokens import FixedToken
from stack.site import door


async def run(url: str, machine: str) -> None:
    read = asyncio.get_running_loop().run_in_executor
    token = (await read(None, sys.stdin.readline)).strip()
    async with Api(url, FixedToken(token)) as api, open_terminal(api, machine) as terminal:
        answer(said="open")
        while line := await read(None, sys.stdin.readline):
            try:
                answer(said=await terminal.run(line.strip()))
            except (ClientError, ConnectionError) as error:
                answer(failed=str(error))


def answer(**words: str) -> None:
    print(json.dumps(words), flush=True)  # noqa: T201 - for the other process


if __name__ == "__main__":
    door.enter()
    asyncio.run(run(*sys.argv[1:]))
