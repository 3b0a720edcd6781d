"""``artifacts list | get``."""

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from remotegpu.cli.client.tasks import find_task
from remotegpu.cli.credentials import connect
from remotegpu.cli.output import print_json, print_line, print_table, show_bytes
from remotegpu.client.api import Api
from remotegpu.client.artifacts import download
from remotegpu.client.errors import ClientError
from remotegpu.client.models import Artifact

app = App(name="artifacts", help="List or download what a task produced.")


class Artifacts(msgspec.Struct):
    items: list[Artifact]


@app.command(name="list")
async def list_(task: str, *, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """List what a task produced.

    Parameters
    ----------
    task
        Its id, or the first characters of it.
    json
        Print the server's rows.
    """
    async with connect() as api:
        found = await artifacts_of(api, await find_task(api, task))
    if json:
        print_json(found)
        return
    rows = [(item.path, show_bytes(item.size_bytes), item.sha256) for item in found]
    print_table(("PATH", "SIZE", "SHA-256"), rows, empty="No artifacts.")


@app.command
async def get(
    task: str,
    path: str | None = None,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path(),
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Download one artifact, or all of them; each is compared with its SHA-256.

    Parameters
    ----------
    task
        Its id, or the first characters of it.
    path
        Which one, as `artifacts list` shows it; all when left out.
    output
        Folder to write to.
    json
        Print what was written.
    """
    async with connect() as api:
        found = await artifacts_of(api, await find_task(api, task))
        wanted = [item for item in found if path is None or item.path == path]
        if not wanted:
            known = (
                ", ".join(item.path for item in found)
                or "none: the task wrote no file to REMOTEGPU_OUTPUT_DIR"
            )
            raise ClientError(f"no artifact {path or ''}".strip(), known, f"remotegpu artifacts list {task}")
        written = [(item, await download(api, item, output)) for item in wanted]
    if json:
        print_json(
            [{"path": str(target), "size_bytes": i.size_bytes, "sha256": i.sha256} for i, target in written]
        )
        return
    for item, target in written:
        print_line(f"{target}  {show_bytes(item.size_bytes)}  SHA-256 ok")


async def artifacts_of(api: Api, task_id: str) -> list[Artifact]:
    return (await api.get(f"/tasks/{task_id}/artifacts", Artifacts)).items
