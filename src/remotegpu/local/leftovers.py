"""End what a killed supervisor left running in a data directory, before anything is started there again."""

import signal
from pathlib import Path

from remotegpu.local import proc, processes
from remotegpu.local.layout import Layout
from remotegpu.local.proc import Identity
from remotegpu.local.processes import Recorded

_PATIENCE_S = 15.0
_STOP_ORDER = ("agent", "worker", "server", "migrate", "s3", "valkey", "postgres")
_SURVIVORS = frozenset({"agent"})
"""Only the leader is ended: what else runs in the agent's name are customers' tasks."""


def take_down(layout: Layout) -> list[str]:
    """Stop every recorded process that still runs, children of the data services before their data. Returns names."""
    records = {record.service: record for record in processes.recorded(layout.processes)}
    names = [*_STOP_ORDER, *sorted(set(records) - set(_STOP_ORDER))]
    stopped = [name for name in names if name in records and _end(records[name], layout.root)]
    if _end_postgres(layout.postgres):
        stopped.append("postgres")
    _forget(layout)
    return list(dict.fromkeys(stopped))


def _end(record: Recorded, root: Path) -> bool:
    """Leader first, politely; then what it left in its session."""
    number = signal.SIGINT if record.service == "postgres" else signal.SIGTERM
    was_running = proc.is_alive(record.leader)
    if was_running:
        _insist([record.leader], number)
    if record.service in _SURVIVORS:
        return was_running
    members = processes.group_members(record.leader, root)
    _insist(members, signal.SIGTERM)
    return was_running or bool(members)


def _insist(targets: list[Identity], number: signal.Signals) -> None:
    """Ask, wait, kill."""
    for target in targets:
        processes.send(target, number)
        processes.send(target, signal.SIGCONT)  # a suspended process takes no other signal
    for target in proc.wait_gone(targets, _PATIENCE_S):
        processes.send(target, signal.SIGKILL)
    proc.wait_gone(targets, _PATIENCE_S)


def _end_postgres(cluster: Path) -> bool:
    """Processes whose working directory is the cluster are PostgreSQL's, recorded or not. Then the lock file may go.

    ``postmaster.pid`` names a pid that some other process may have by now, which would make PostgreSQL refuse to
    start; removing it is safe only once nothing works in the cluster any more.
    """
    working = [pid for pid in proc.pids() if proc.working_directory(pid) == cluster]
    found = [identity for pid in working if (identity := proc.identity(pid))]
    leader = _postmaster(cluster)
    _insist([identity for identity in found if identity.pid == leader], signal.SIGINT)
    _insist(found, signal.SIGQUIT)
    if cluster.is_dir():
        (cluster / "postmaster.pid").unlink(missing_ok=True)
    return bool(found)


def _postmaster(cluster: Path) -> int | None:
    try:
        first = (cluster / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()[0]
    except (OSError, IndexError):
        return None
    return int(first) if first.strip().isdecimal() else None


def _forget(layout: Layout) -> None:
    for path in layout.processes.glob("*.json"):
        path.unlink(missing_ok=True)
