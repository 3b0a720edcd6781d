"""The customers: they submit, ask again until they are told yes, and stop what they no longer want."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from chaos import witness
from chaos.clock import RunClock
from chaos.plans import Run, TaskPlan
from chaos.site import Platform
from server_client import Answer

PATIENCE_S = 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 1.0
AWAY = frozenset({502, 503, 504})
"""What a client may take for "ask again later". Any other refusal of a good request is a defect."""


@dataclass
class Submissions:
    """``acknowledged``: the id that the server gave for each plan. ``stopped``: ids it was asked to stop."""

    platform: Platform
    clock: RunClock
    acknowledged: dict[str, TaskPlan] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    defects: list[str] = field(default_factory=list)
    repeats: int = 0

    async def all(self, run: Run) -> None:
        """Every plan at its time, side by side."""
        async with asyncio.TaskGroup() as group:
            for plan in run.tasks:
                group.create_task(self._one(plan))

    async def _one(self, plan: TaskPlan) -> None:
        await self.clock.until(plan.at)
        task_id = await self.submit(plan)
        if plan.behaviour == "is_stopped":
            await asyncio.sleep(plan.seconds * 2)
            self.stopped.add(
                task_id
            )  # before it is asked: the answer may be lost, and the task end meanwhile
            await self._insist("POST", f"/tasks/{task_id}/stop", plan, None)

    async def submit(self, plan: TaskPlan) -> str:
        """The id the server gave, sooner or later."""
        task_id = str((await self._insist("POST", "/tasks", plan, self._body(plan)))["id"])
        self.acknowledged[task_id] = plan
        return task_id

    def _body(self, plan: TaskPlan) -> dict[str, Any]:
        return {
            "machine_id": self.platform.machine_ids[plan.machine],
            "name": plan.name,
            "kind": plan.kind,
            "command": witness.command(plan),
            "env": {witness.MARK: str(self.platform.witness)},
            "timeout_s": witness.TIMEOUT_S if plan.behaviour == "runs_too_long" else 300,
            "priority": plan.priority,
            "max_retries": plan.max_retries,
            "gpus": plan.gpus,
        }

    async def _insist(self, method: str, path: str, plan: TaskPlan, body: object) -> Any:
        """Ask until there is a yes, with the same key each time."""
        patience_s, pause_s = plan.impatience_s, FIRST_PAUSE_S
        while True:
            answer = await self._ask(method, path, plan.key, body, patience_s)
            if answer is not None and answer.status < 300:
                return answer.json
            if answer is not None and answer.code == "task_is_final":
                return None
            if answer is not None and answer.status not in AWAY:
                self.defects.append(f"{method} {path} for {plan.name}: {answer.status} {answer.body[:300]!r}")
            self.repeats += 1
            await asyncio.sleep(pause_s)
            patience_s, pause_s = PATIENCE_S, min(LONGEST_PAUSE_S, pause_s * 2)

    async def _ask(self, method: str, path: str, key: str, body: object, patience_s: float) -> Answer | None:
        """None when no answer came: the request may have been carried out, or not."""
        try:
            async with asyncio.timeout(patience_s):
                return await self.platform.member.call(method, path, body, headers={"Idempotency-Key": key})
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
