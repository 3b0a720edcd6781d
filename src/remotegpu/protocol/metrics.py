"""Every metric of the platform, for who shows them, who alerts on them and who reads about them.

Labels ``machine``, ``customer`` and ``region`` grow with the fleet, every other one has a handful of values: 1,000
hosts make about 4,000 lines.
"""

from collections.abc import Mapping
from typing import NamedTuple

MACHINE = ("machine", "customer", "region")


class Family(NamedTuple):
    """One metric: a gauge. ``help``: what one sample says."""

    help: str
    labels: tuple[str, ...] = ()


PLATFORM: Mapping[str, Family] = {
    "remotegpu_machines": Family(help="Machines by state.", labels=("state",)),
    "remotegpu_gpus": Family(help="GPUs of all machines, and those of leased ones.", labels=("use",)),
    "remotegpu_agents": Family(
        help="Agents by how they are heard of: online, late (missed a poll) or lost (counted as unreachable).",
        labels=("status",),
    ),
    "remotegpu_agent_last_heartbeat_timestamp_seconds": Family(
        help="When the machine's agent was heard of last; absent until it was the first time.", labels=MACHINE
    ),
    "remotegpu_agent_clock_skew_seconds": Family(
        help="How far the machine's clock is ahead of the server's.", labels=MACHINE
    ),
    "remotegpu_agent_info": Family(
        help="1, with the agent's version.", labels=("machine", "version", "simulated")
    ),
    "remotegpu_node_gpus_expected": Family(help="GPUs that the machine's inventory lists.", labels=MACHINE),
    "remotegpu_tasks": Family(help="Unfinished tasks by state.", labels=("state",)),
    "remotegpu_task_queue_oldest_seconds": Family(help="How long the oldest queued task has been waiting."),
    "remotegpu_attempts_lease_expired": Family(
        help="Attempts under way that nobody has reported within their lease."
    ),
    "remotegpu_allocations": Family(help="Unfinished allocations by state.", labels=("state",)),
    "remotegpu_allocations_ending_7d": Family(help="Active allocations that end within seven days."),
    "remotegpu_sessions": Family(help="Open remote access sessions by protocol.", labels=("protocol",)),
}
"""Shown by the worker, because there is one of it and there are two servers."""
