"""Afterwards: everything that must hold, each check a list of what does not."""

import asyncio
import hashlib
import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import redis

from chaos import keeper, outcome, witness
from chaos.outcome import AttemptRow, TaskRow
from chaos.plans import AGENTS, Run, TaskPlan
from chaos.site import Platform
from chaos.submitting import Submissions
from remotegpu.local import proc, roles
from remotegpu.local.plan import program
from remotegpu.local.postgres import APP_ROLE, DATABASE

BROKEN = (
    "internal_error",
    "Traceback",
    "a part of the agent broke and is started again",
    "attempt is stuck",
    "action failed",
    "desired state not applied",
    "Task exception was never retrieved",
)
"""Words that no program of ours may log, whatever is away."""

TIDY_LOOKS, TIDY_PAUSE_S = 30, 0.5
"""For what comes after the last final state: dropping directories, sealing the audit trail."""

MOST_SHOWN = 1500

MIB = 1024 * 1024
MOST_MEMORY = {"server": 400 * MIB, "worker": 250 * MIB} | dict.fromkeys(AGENTS, 120 * MIB)
"""Resident at the end: twice what they need at rest, so that only growth shows."""
MOST_DESCRIPTORS = 120
MOST_CONNECTIONS = 60
"""Two programs with a pool of 20 at most, and what PostgreSQL itself and this test use."""


def rows(platform: Platform) -> list[TaskRow]:
    """Every task with its attempts, from the database itself."""
    query = """
        SELECT t.id::text, t.name, m.name, t.state, t.reason, coalesce(jsonb_agg(jsonb_build_object(
            'attempt_id', a.id, 'number', a.number, 'state', a.state, 'reason', a.reason, 'exit_code', a.exit_code,
            'log_final', a.log_final, 'finished_at', extract(epoch FROM a.finished_at)
        ) ORDER BY a.number) FILTER (WHERE a.id IS NOT NULL), '[]')
        FROM tasks t JOIN machines m ON m.id = t.machine_id LEFT JOIN attempts a ON a.task_id = t.id
        GROUP BY t.id, m.name
    """
    return [
        TaskRow(
            task_id=task_id,
            name=name,
            machine=machine,
            state=state,
            reason=reason,
            attempts=[AttemptRow(**each) for each in tried],
        )
        for task_id, name, machine, state, reason, tried in sql(platform, query)
    ]


def sql(platform: Platform, query: str) -> list[tuple[Any, ...]]:
    """As the superuser, behind the server's back."""
    with roles.connect(platform.site.ports["postgres"], platform.site.secrets, DATABASE) as connection:
        return connection.execute(query.encode()).fetchall()


def submissions(run: Run, found: list[TaskRow], told: Submissions) -> list[str]:
    """Every one was acknowledged in the end, and acknowledged is the same as present."""
    present, acknowledged = {task.task_id for task in found}, set(told.acknowledged)
    answered = {plan.name for plan in told.acknowledged.values()}
    return [
        *(f"never acknowledged: {plan.name}" for plan in run.tasks if plan.name not in answered),
        *(f"acknowledged, but not there: {lost}" for lost in acknowledged - present),
        *(f"there, but not acknowledged: {ghost}" for ghost in present - acknowledged),
    ]


def outcomes(found: list[TaskRow], told: Submissions, killed: frozenset[str]) -> list[str]:
    """Each task's end follows from what it does and what was done to it."""
    return [
        problem
        for task in found
        if (plan := told.acknowledged.get(task.task_id))
        for problem in outcome.problems(task, plan, stopped=task.task_id in told.stopped, killed=killed)
    ]


def losses(found: list[TaskRow], platform: Platform, lease_s: float) -> list[str]:
    """Nothing was given up without need."""
    kills = {name: platform.keeper.kept[name].kills for name in AGENTS}
    return outcome.lost_for_nothing(found, kills, lease_s)


def testimonies(found: list[TaskRow], platform: Platform) -> list[str]:
    """The witness agrees: nothing ran twice, and what succeeded ran from its start to its end."""
    lines = witness.read(platform.witness)
    heard = Counter((line.word, line.attempt_id) for line in lines)
    attempts = {attempt.attempt_id: attempt for task in found for attempt in task.attempts}
    problems = witness.contradictions(lines)
    problems += [
        f"attempt {line.attempt_id} ran, but the server does not know it"
        for line in lines
        if line.attempt_id not in attempts
    ]
    return problems + [
        f"attempt {attempt.attempt_id} succeeded without having run from start to end"
        for attempt in attempts.values()
        if attempt.state == "succeeded"
        and (heard["start", attempt.attempt_id], heard["end", attempt.attempt_id]) != (1, 1)
    ]


async def outputs(found: list[TaskRow], told: Submissions, platform: Platform) -> list[str]:
    """Logs and artifacts of what came to its end, byte by byte."""
    problems: list[str] = []
    for task in found:
        plan = told.acknowledged.get(task.task_id)
        for attempt in task.attempts if plan else []:
            if (attempt.state, attempt.exit_code) in {("succeeded", 0), ("failed", witness.FAILURE)}:
                assert plan
                problems += await _log(task, attempt, plan, platform)
        if plan and task.state == "succeeded":
            problems += await _artifact(task, plan, platform)
    return problems


async def _log(task: TaskRow, attempt: AttemptRow, plan: TaskPlan, platform: Platform) -> list[str]:
    answer = await platform.member.call("GET", f"/tasks/{task.task_id}/log?attempt={attempt.number}")
    expected = witness.expected_log(plan, attempt.attempt_id)
    if answer.status == 200 and answer.body == expected and attempt.log_final:
        return []
    return [
        (
            f"log of {task.name} attempt {attempt.number} {attempt.attempt_id}: status {answer.status}, final "
            f"{attempt.log_final}, {len(answer.body)} of {len(expected)} bytes, ends {answer.body[-60:]!r}"
        )
    ]


async def _artifact(task: TaskRow, plan: TaskPlan, platform: Platform) -> list[str]:
    """What the server says, what the object store gives, and what the task wrote are one."""
    expected = witness.expected_result(plan, task.task_id)
    digest = hashlib.sha256(expected).hexdigest()
    items = (await platform.member.get(f"/tasks/{task.task_id}/artifacts"))["items"]
    if [(item["path"], item["sha256"], item["size_bytes"]) for item in items] != [
        ("result.txt", digest, len(expected))
    ]:
        return [f"artifacts of {task.name} {task.task_id}: {items}"]
    link = await platform.member.get(f"/artifacts/{items[0]['id']}/download")
    async with aiohttp.ClientSession() as store, store.get(link["url"]) as answer:
        content = await answer.read()
    return (
        []
        if content == expected
        else [f"result.txt of {task.name} {task.task_id}: {len(content)} bytes differ"]
    )


async def machines(platform: Platform) -> list[str]:
    """All leased and reachable."""
    found = (await platform.admin.get("/machines?sort=name"))["items"]
    return [
        f"{each['name']} is {each['state']}, reachable {each['reachable']}"
        for each in found
        if each["state"] != "allocated" or not each["reachable"]
    ]


async def audit(found: list[TaskRow], platform: Platform) -> list[str]:
    """The chain holds, is complete, and tells of one final state for each task."""
    command = program(platform.site.options, "server", "audit-verify", "--json")
    done = await asyncio.to_thread(
        subprocess.run, command, env=platform.environment, capture_output=True, text=True, check=False
    )
    report = json.loads(done.stdout)
    problems = [] if done.returncode == 0 and report["ok"] else [f"the audit trail does not hold: {report}"]
    query = """
        SELECT resource_id, count(*) FROM audit_logs WHERE resource_type = 'task'
        AND action IN ('task.succeeded', 'task.failed', 'task.timed_out', 'task.stopped', 'task.cancelled')
        GROUP BY resource_id
    """
    ends = dict(sql(platform, query))
    return problems + [
        f"{task.name} {task.task_id} came to {ends.get(task.task_id, 0)} ends in the audit trail"
        for task in found
        if ends.get(task.task_id, 0) != 1
    ]


async def growth(platform: Platform) -> list[str]:
    """Nothing is left over, and nothing has grown. Waits a while for what is tidied up last."""
    problems = _left_over(platform)
    for _ in range(TIDY_LOOKS):
        if not problems:
            break
        await asyncio.sleep(TIDY_PAUSE_S)
        problems = _left_over(platform)
    return problems


def _left_over(platform: Platform) -> list[str]:
    problems = keeper.strays(platform.witness)
    for name in AGENTS:
        place = platform.agent_data(name) / "attempts"
        problems += [f"{name} keeps the directory of attempt {each.name}" for each in place.iterdir()]
    pending = sql(
        platform,
        "SELECT count(*) FROM audit_logs l LEFT JOIN audit_seals s ON s.audit_id = l.id WHERE s IS NULL",
    )
    problems += [f"{pending[0][0]} audit entries wait to be sealed"] if pending[0][0] else []
    unclosed = sql(
        platform, "SELECT count(*) FROM attempts WHERE NOT log_final AND state NOT IN ('assigned', 'running')"
    )
    problems += [f"{unclosed[0][0]} logs of ended attempts are not closed"] if unclosed[0][0] else []
    return [*problems, *_immortal(platform), *_connections(platform), *_sizes(platform)]


def _immortal(platform: Platform) -> list[str]:
    """Keys of Valkey that would stay for ever. A buffer may return with a Valkey that forgot its last second."""
    client = redis.Redis(
        port=platform.site.ports["valkey"], password=platform.site.secrets.value("redis_password")
    )
    with client:
        keys = [key for key in client.scan_iter("*") if isinstance(key, bytes)]
        return [f"Valkey keeps {key.decode()} for ever" for key in keys if client.ttl(key) == -1]


def _connections(platform: Platform) -> list[str]:
    query = f"SELECT state, count(*) FROM pg_stat_activity WHERE usename = '{APP_ROLE}' GROUP BY state"
    counted = dict(sql(platform, query))
    problems = [f"{counted} connections"] if sum(counted.values()) > MOST_CONNECTIONS else []
    if counted.get("idle in transaction", 0) > 1:  # one may be seen between two statements
        problems.append(f"{counted['idle in transaction']} transactions are left open")
    return problems


def _sizes(platform: Platform) -> list[str]:
    problems: list[str] = []
    for name, most in MOST_MEMORY.items():
        child = platform.keeper.kept[name].child
        if child is None:
            problems.append(f"{name} does not run")
            continue
        size = proc.memory_bytes(child.identity.pid, same_session=True)
        descriptors = max(_descriptors(pid) for pid in proc.descendants(child.identity.pid))
        if size > most:
            problems.append(f"{name} holds {size // MIB} MiB")
        if descriptors > MOST_DESCRIPTORS:
            problems.append(f"{name} holds {descriptors} files and sockets")
    return problems


def _descriptors(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except FileNotFoundError:
        return 0  # ended since it was listed


def logs(platform: Platform) -> list[str]:
    """No program met something that nobody had thought of."""
    return [
        f"{name}: {_shortened(line)}"
        for name in ("server", "worker", *AGENTS)
        for line in platform.layout.log(name).read_text(encoding="utf-8", errors="replace").splitlines()
        if any(word in line for word in BROKEN)
    ]


def _shortened(line: str) -> str:
    """The message and the end of the traceback."""
    return (
        line if len(line) < MOST_SHOWN else f"{line[: MOST_SHOWN // 3]} [...] {line[-MOST_SHOWN * 2 // 3 :]}"
    )
