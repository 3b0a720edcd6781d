"""How an end goes on, pure: facts about the machine in, status of every step out.

The steps are level-triggered: they are computed anew from the facts each time, so a crash in between loses nothing.
"""

from dataclasses import dataclass

STEPS = ("revoke_access", "stop_tasks", "close_sessions", "clean_account", "check_machine")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """``gpu_processes``: processes left on the GPUs by the latest figures; None when unknown."""

    open_attempts: int
    open_sessions: int
    account_wiped: bool
    account_detail: str
    reachable: bool
    unreachable_since: str
    gpu_processes: int | None


@dataclass(frozen=True)
class Status:
    status: str
    detail: str = ""


def statuses(facts: Facts) -> dict[str, Status]:
    """Status of each step. Access is revoked by the transaction that ended the lease, so that is always done."""
    waiting = (
        ""
        if facts.reachable
        else f"the machine is unreachable since {facts.unreachable_since}; this goes on when it is back"
    )
    tasks = _counted(facts.open_attempts, "task(s) still stopping", waiting)
    sessions = _counted(facts.open_sessions, "session(s) still closing", "")
    account = _account(facts, waiting)
    earlier_done = all(step.status == "done" for step in (tasks, sessions, account))
    return {
        "revoke_access": Status("done"),
        "stop_tasks": tasks,
        "close_sessions": sessions,
        "clean_account": account,
        "check_machine": _check(facts, waiting) if earlier_done else Status("pending"),
    }


def _counted(count: int, what: str, waiting: str) -> Status:
    if count == 0:
        return Status("done")
    return Status("running", waiting or f"{count} {what}")


def _account(facts: Facts, waiting: str) -> Status:
    if facts.account_wiped:
        return Status("done")
    if facts.account_detail:
        return Status("failed", f"{facts.account_detail}; the agent tries again")
    return Status("running", waiting)


def _check(facts: Facts, waiting: str) -> Status:
    if not facts.reachable:
        return Status("running", waiting)
    if facts.gpu_processes:
        return Status("failed", f"{facts.gpu_processes} process(es) still use the GPUs")
    return Status("done")
