"""The one module that starts and ends processes."""

import ctypes
import errno
import os
import signal
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from remotegpu.kit import files
from remotegpu.local import proc
from remotegpu.local.account import Account
from remotegpu.local.plan import SERVICE_MARK, ServiceSpec
from remotegpu.local.proc import Identity

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Ended:
    """A finished command. ``output`` is stdout and stderr together."""

    code: int
    output: str


@dataclass
class Child:
    """A running child of ours, leader of its own session."""

    spec: ServiceSpec
    popen: "subprocess.Popen[bytes]"
    identity: Identity

    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal. Reaps it."""
        return self.popen.poll()


def run_to_end(argv: list[str], *, directory: Path, account: Account | None, timeout_s: float) -> Ended:
    """Run a short command. On a timeout it is killed and reported with code 124."""
    try:
        done = subprocess.run(
            argv,
            cwd=directory,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        output = (error.stdout or b"").decode(errors="replace")
        return Ended(124, f"{output}\n{argv[0]} did not end within {timeout_s:g} s")
    return Ended(done.returncode, done.stdout.decode(errors="replace"))


def spawn(spec: ServiceSpec, log: Path, record: Path | None) -> Child:
    """Start a service in its own session, its output appended to ``log``, its identity written to ``record``.

    The kernel sends it its stop signal when this process dies, however it dies. It must be called from the main
    thread, since "this process" means the thread that forks.
    """
    supervisor = os.getpid()
    account = spec.account
    with open(log, "ab", opener=_private_opener) as output:
        popen = subprocess.Popen(
            spec.argv,
            cwd=spec.directory,
            env=spec.environment,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # After setuid, which would clear the request. One thread forks, so running Python here is safe.
            preexec_fn=lambda: _die_with(supervisor, spec.stop_signal),  # noqa: PLW1509
        )
    identity = proc.identity(popen.pid) or Identity(popen.pid, 0, "")
    if record:
        _remember(record, spec.name, identity)
    return Child(spec, popen, identity)


def _remember(record: Path, name: str, identity: Identity) -> None:
    try:
        files.write_private(record, files.to_json({"service": name, **asdict(identity)}))
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        # A full disk must not keep a service down; without a record the death signal still ends it with us.


def _private_opener(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _die_with(supervisor: int, stop_signal: signal.Signals) -> None:
    """Runs in the child before exec. Closes the race in which the supervisor died before the request."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(stop_signal), 0, 0, 0)
    if os.getppid() != supervisor:
        os.kill(os.getpid(), signal.SIGKILL)


def spawn_detached(argv: list[str], *, environment: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    """Start a process that outlives this one and its terminal."""
    with open(log, "ab", opener=_private_opener) as output:
        return subprocess.Popen(
            argv,
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def ask_to_stop(child: Child) -> None:
    """Send the service's own stop signal to its leader."""
    if child.exit_code() is None:
        child.popen.send_signal(child.spec.stop_signal)


def kill(child: Child) -> None:
    """SIGKILL, and reap."""
    if child.exit_code() is None:
        child.popen.kill()
        child.popen.wait(timeout=10)


def sweep_group(child: Child) -> None:
    """After the leader's end: kill what it left in its process group (a server's worker process holds the port)."""
    if child.spec.owns_group:
        signal_group(child.identity.pid, signal.SIGKILL)


def signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return  # nobody left: the usual case
    except PermissionError:
        return  # the number was reused by a stranger's group, so none of ours is left


def send(process: Identity, number: signal.Signals) -> None:
    """Signal that very process; a later one with the same pid is left alone."""
    if proc.is_alive(process):
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return  # ended in between, which is what was asked for


@dataclass(frozen=True)
class Recorded:
    """A process a supervisor of this data directory once started."""

    service: str
    leader: Identity


def recorded(directory: Path) -> list[Recorded]:
    """All records, damaged ones left out (their processes are found by their working directory or port)."""
    found: list[Recorded] = []
    for path in sorted(directory.glob("*.json")):
        entry = files.read_json(path)
        if entry and isinstance(entry.get("pid"), int) and isinstance(entry.get("start_ticks"), int):
            leader = Identity(entry["pid"], entry["start_ticks"], str(entry.get("boot", "")))
            found.append(Recorded(path.stem, leader))
    return found


def group_members(leader: Identity, root: Path) -> list[Identity]:
    """Living processes of a (possibly dead) leader's session that carry this data directory's mark."""
    members: list[Identity] = []
    if leader.boot != proc.boot_id():
        return members
    for pid in proc.pids():
        found = proc.stat(pid)
        if found and found.session == leader.pid and proc.environment_has(pid, f"{SERVICE_MARK}={root}"):
            members.append(Identity(pid, found.start_ticks, leader.boot))
    return [member for member in members if proc.is_alive(member)]
