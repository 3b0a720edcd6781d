"""Stopping children together: ask all, wait for each as long as it may take, then kill."""

import time
from collections.abc import Sequence

from remotegpu.local import processes
from remotegpu.local.events import Event, Report
from remotegpu.local.processes import Child

_POLL_S = 0.02


def stop(children: Sequence[Child], report: Report) -> None:
    """Stop all of one wave at once."""
    began = time.monotonic()
    for child in children:
        processes.ask_to_stop(child)
    remaining = list(children)
    while remaining:
        now = time.monotonic()
        for child in list(remaining):
            overdue = now - began > child.spec.stop_timeout_s
            if overdue:
                processes.kill(child)
            if child.exit_code() is not None:
                remaining.remove(child)
                processes.sweep_group(child)
                report(Event(child.spec.name, "killed" if overdue else "stopped", now - began))
        if remaining:
            time.sleep(_POLL_S)
