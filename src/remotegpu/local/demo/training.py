"""The member's task: the example training script runs, its log arrives live, its artifacts match their checksums."""

import asyncio
import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import cast

from remotegpu.client.api import Api
from remotegpu.client.artifacts import download
from remotegpu.client.errors import ClientError
from remotegpu.client.logs import LogEnd, follow_log
from remotegpu.client.models import Artifact, Machine, Task
from remotegpu.local.demo.report import Report, Step

EXPECTED = {"result.npz", "metrics.json"}


async def submit(member: Api, machine: Machine) -> Task:
    source = files("remotegpu.local.example").joinpath("train.py").read_text(encoding="utf-8")
    body = {
        "machine_id": machine.id,
        "name": "train-spirals",
        "kind": "python",
        "command": source,
        "args": ["--seed", "11"],
        "timeout_s": 120,
        "gpus": min(1, machine.gpu_count),
    }
    return await member.post("/tasks", Task, body, idempotent=True)


async def follow(member: Api, task: Task, report: Report, step: Step) -> None:
    """Shows the log as it arrives. Raises :class:`ClientError` when it came in one piece at the end, or failed."""
    arrivals: list[float] = []
    tail = ""
    end = LogEnd(state="")
    async for item in follow_log(member, task.id):
        if isinstance(item, LogEnd):
            end = item
            break
        arrivals.append(asyncio.get_running_loop().time())
        *lines, tail = (tail + item.text).split("\n")
        for line in lines:
            report.note(line)
    if end.state != "succeeded":
        final = await member.get(f"/tasks/{task.id}", Task)
        raise ClientError(
            f"the task {end.state} with exit code {end.exit_code} ({final.reason})", "succeeded"
        )
    if len(arrivals) < 2:
        raise ClientError(f"{len(arrivals)} pieces of log", "several, while the task runs")
    step.detail = f"exit code 0, log in {len(arrivals)} pieces over {arrivals[-1] - arrivals[0]:.1f} s"


async def fetch_artifacts(member: Api, task_id: str, folder: Path) -> dict[str, object]:
    """Downloads every artifact, compares size and SHA-256, and returns the metrics the script wrote."""
    artifacts = (await member.get(f"/tasks/{task_id}", Task)).artifacts
    found = {artifact.path for artifact in artifacts}
    if not found >= EXPECTED:
        raise ClientError(f"artifacts {sorted(found)}", f"{sorted(EXPECTED)}")
    for artifact in artifacts:
        compare(artifact, await download(member, artifact, folder))
    return cast("dict[str, object]", json.loads((folder / "metrics.json").read_text()))


def compare(artifact: Artifact, path: Path) -> None:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if (len(content), digest) != (artifact.size_bytes, artifact.sha256):
        raise ClientError(
            f"{artifact.path}: {len(content)} bytes, SHA-256 {digest}",
            f"{artifact.size_bytes} bytes, {artifact.sha256}",
        )
