"""The process that owns one attempt: ``python -I -S attempt_host.py DIR``, standard library only.

It outlives the agent. Everything between the two goes through files in ``DIR``:

* ``spec.json`` (agent → host): argv, env, cwd, uid, gid, user, timeout_s, grace_s, max_log_bytes.
* ``host.json`` (host): who owns the attempt. Created by a hard link, which fails when it exists: whoever comes
  second ends without starting anything, so an attempt cannot run twice.
* ``started.json`` (host): the command's process exists.
* ``log`` (host): merged stdout and stderr, at most ``max_log_bytes`` and one line saying so.
* ``stop`` (agent → host): seconds of grace before SIGKILL. SIGTERM to the host makes it look at once.
* ``exit.json`` (host): how it ended. Written last, when no process of the attempt is left.

Without ``DIR`` it stands by: it reads one line with the directory from stdin. An interpreter takes 15 ms to start,
which is half of what a submitted task may take to be running.
"""

# ruff: noqa: PTH104, PTH108, PTH110, PTH123, PTH208 — pathlib costs 4 ms of the start-up time

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` would take a third of the start-up time
    from collections.abc import Mapping
    from typing import NoReturn, TypedDict

    class HostSpec(TypedDict):
        """``spec.json``. ``uid`` and ``gid`` are None to stay the agent's user."""

        argv: list[str]
        env: dict[str, str]
        cwd: str
        uid: int | None
        gid: int | None
        user: str
        timeout_s: float
        grace_s: float
        max_log_bytes: int


CHUNK_BYTES = 64 * 1024
STOP_POLL_S = 1.0
STRAGGLER_MERCY_S = 0.2
"""How long what the command left behind may go on before it is killed: the `tee` of `exec > >(tee …)` needs it."""
SWEEP_PATIENCE_S = 10.0
"""How long killed processes may take to disappear."""
CLAIMED_BY_ANOTHER = 75
"""Exit status of the host that came second."""

IGNORED = [
    number
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    if number == signal.SIGHUP or signal.getsignal(number) is signal.SIG_IGN
]
"""What Python, nohup and shells ignore, and we do: it would survive exec. Looked up while there is time."""

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: list[str]) -> int:
    """Own the attempt in the directory named by the argument, or by a line on stdin."""
    directory = arguments[1] if len(arguments) > 1 else read_line(0)
    if not directory:
        return 0  # stood by for an agent that has gone
    os.chdir(directory)
    if not claim():
        return CLAIMED_BY_ANOTHER
    with open("host.err", "ab") as errors:
        os.dup2(errors.fileno(), 2)
    Host(read_spec("spec.json")).run()
    return 0


class Host:
    """One attempt: starts the command, keeps its output, ends it in time, leaves nothing behind."""

    def __init__(self, spec: HostSpec) -> None:
        self.spec = spec
        self.log = Log("log", spec["max_log_bytes"])
        self.pid = 0
        self.output = -1
        self.started_at: float | None = None
        self.deadline = 0.0
        self.outcome = ""  # set when the attempt is ended from outside: "stopped", "timed_out" or "failed"
        self.reason = ""
        self.ending_since: float | None = None
        self.grace_s = float(spec["grace_s"])
        self.told_to_end = False
        self.wake, wake_end = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(wake_end, False)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, ignore)
        signal.signal(signal.SIGTERM, self.on_terminate)
        signal.signal(signal.SIGINT, self.on_terminate)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def run(self) -> None:
        """From the first process to the last."""
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        if os.path.exists("stop"):
            self.add_reason("stopped before it started")
            self.finish("stopped", None)
            return
        error_number, problem = self.start()
        if problem:
            self.add_reason(problem)
            self.finish("failed", 127 if error_number == errno.ENOENT else 126)
            return
        self.announce()
        while not self.command_ended():
            self.wait_for_events()
            self.enforce()
        exit_code = self.reap_command()
        self.sweep()
        self.pump()
        self.finish(self.outcome or ("succeeded" if exit_code == 0 else "failed"), exit_code)

    def start(self) -> tuple[int, str]:
        """Fork and exec the command. Returns (0, "") or the error that kept it from starting."""
        self.output, write_end = os.pipe()
        os.set_blocking(self.output, False)
        error_read, error_write = os.pipe()
        host = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            become_command(self.spec, write_end, error_write, host)
        self.started_at = time.time()
        self.deadline = time.monotonic() + self.spec["timeout_s"]
        os.close(write_end)
        os.close(error_write)
        error = b""
        while part := os.read(error_read, 4096):  # ends when exec closes the other side
            error += part
        os.close(error_read)
        if not error:
            return 0, ""
        os.waitpid(self.pid, 0)
        number, _, text = error.decode("utf-8", "replace").partition(" ")
        return int(number), text

    def announce(self) -> None:
        """Say that the command runs: a file for every later agent, a byte for the one that waits now."""
        write_json("started.json", {"pid": self.pid, "started_at": self.started_at})
        release_stdout()

    def command_ended(self) -> bool:
        """Reap adopted orphans on the way, but leave the command itself waiting: its pid keeps its group's id."""
        while True:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None:
                return False
            if found.si_pid == self.pid:
                return True
            os.waitpid(found.si_pid, os.WNOHANG)

    def wait_for_events(self) -> None:
        """Until there is output, a signal, or something to enforce."""
        now = time.monotonic()
        until = now + STOP_POLL_S
        if self.ending_since is None:
            until = min(until, self.deadline)
        else:
            until = min(until, max(self.ending_since + self.grace_s, now + 0.1))
        watched = [self.wake] if self.output < 0 else [self.wake, self.output]
        ready, _, _ = select.select(watched, [], [], max(0.0, until - now))
        if self.wake in ready:
            drain(self.wake)
        if self.output in ready:
            self.pump(once=True)

    def enforce(self) -> None:
        """Begin to end the attempt when it is due, and go on to SIGKILL when the grace is over."""
        self.look_for_stop()
        now = time.monotonic()
        if self.ending_since is None and now >= self.deadline:
            self.begin_to_end("timed_out", f"ran longer than its {self.spec['timeout_s']} s")
        if self.ending_since is not None and now >= self.ending_since + self.grace_s:
            signal_descendants(signal.SIGKILL)

    def look_for_stop(self) -> None:
        """Follow the stop file: it may come late, and come again with less grace."""
        grace_s = read_grace("stop", self.spec["grace_s"])
        if grace_s is not None:
            self.grace_s = min(self.grace_s, grace_s)
        if self.ending_since is not None:
            return
        if grace_s is not None:
            self.begin_to_end("stopped", "")
        elif self.told_to_end:
            self.begin_to_end("failed", "its host process was told to end (machine shut down?)")

    def begin_to_end(self, outcome: str, reason: str) -> None:
        """SIGTERM now; the grace counts from here."""
        self.outcome, self.reason, self.ending_since = outcome, reason, time.monotonic()
        signal_descendants(signal.SIGTERM)

    def reap_command(self) -> int:
        """The exit code, negative for a signal. What is left of the group gets a moment, then SIGKILL."""
        if self.ending_since is None:
            self.let_stragglers_finish()
        signal_group(self.pid, signal.SIGKILL)  # before the wait: afterwards the group's id may be another's
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def let_stragglers_finish(self) -> None:
        """Until nobody holds the output any more, or the moment is over."""
        until = time.monotonic() + STRAGGLER_MERCY_S
        while self.output >= 0 and (left := until - time.monotonic()) > 0:
            if not select.select([self.output], [], [], left)[0]:
                return
            self.pump(once=True)

    def sweep(self) -> None:
        """Kill every descendant until the kernel says that no child is left: orphans all become ours."""
        until = time.monotonic() + SWEEP_PATIENCE_S
        while not reap_all():
            signal_descendants(signal.SIGKILL)
            if time.monotonic() > until:
                names = ", ".join(str(pid) for pid in descendants()[:8])
                self.add_reason(f"processes that would not die: {names}")
                return
            self.pump()
            time.sleep(0.005)

    def pump(self, *, once: bool = False) -> None:
        """Move output from the pipe to the log, all there is or one piece."""
        while self.output >= 0:
            try:
                data = os.read(self.output, CHUNK_BYTES)
            except BlockingIOError:
                return
            if not data:
                os.close(self.output)
                self.output = -1
                return
            self.log.write(data)
            if once:
                return

    def finish(self, outcome: str, exit_code: int | None) -> None:
        """Write the result, for as long as that takes: on a full disk the attempt waits rather than get lost."""
        if problem := self.log.close():
            self.add_reason(problem)
        result = {
            "outcome": outcome,
            "exit_code": exit_code,
            "reason": self.reason,
            "log_bytes": self.log.total,
            "truncated": self.log.total > self.log.kept,
            "started_at": self.started_at,
            "finished_at": time.time(),
        }
        while True:
            try:
                write_json("exit.json", result, durable=True)
            except OSError:
                time.sleep(1.0)
            else:
                return

    def add_reason(self, text: str) -> None:
        """One more thing the reader of the result should know."""
        self.reason = f"{self.reason}; {text}" if self.reason else text

    def on_terminate(self, *_: object) -> None:
        """Signal handler: the main loop looks at it."""
        self.told_to_end = True


class Log:
    """A file that takes ``limit`` bytes, counts the rest, and says so in its last line."""

    def __init__(self, path: str, limit: int) -> None:
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self.limit = limit
        self.kept = 0
        self.total = 0
        self.last = b"\n"

    def write(self, data: bytes) -> None:
        """Keep what there is room for."""
        self.total += len(data)
        room = memoryview(data)[: max(0, self.limit - self.kept)]
        while room:
            try:
                written = os.write(self.descriptor, room)
            except OSError:  # disk full: as if the limit were here
                self.limit = self.kept
                return
            self.last = bytes(room[written - 1 : written])
            self.kept += written
            room = room[written:]

    def close(self) -> str:
        """Add the mark when something was left out, and make it durable. Returns what went wrong, or ""."""
        mark = f"[log truncated by RemoteGPU: {self.kept} of {self.total} bytes kept]\n"
        try:
            if self.total > self.kept:
                os.write(self.descriptor, (("" if self.last == b"\n" else "\n") + mark).encode())
            os.fsync(self.descriptor)
            os.close(self.descriptor)
        except OSError as error:
            return f"its log is incomplete: {error.strerror}"
        return ""


def become_command(spec: HostSpec, output: int, errors: int, host: int) -> NoReturn:
    """In the forked child: turn into the command. Never returns; a failure goes to ``errors``."""
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        for number in IGNORED:
            signal.signal(number, signal.SIG_DFL)
        if spec["uid"] is not None and spec["gid"] is not None:
            os.initgroups(spec["user"], spec["gid"])
            os.setgid(spec["gid"])
            os.setuid(spec["uid"])
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # after setuid, which would reset it
        if os.getppid() != host:
            os._exit(1)
        os.umask(0o022)
        os.chdir(spec["cwd"])
        os.execvpe(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606 — running it is the point
    except OSError as error:
        path = spec["cwd"] if error.filename == spec["cwd"] else spec["argv"][0]
        hint = "; a script begins with #! and its interpreter" if error.errno == errno.ENOEXEC else ""
        os.write(errors, f"{error.errno} cannot start {path[:200]}: {error.strerror}{hint}".encode())
    except ValueError as error:
        os.write(errors, f"22 cannot start: {error} in command, arguments or environment".encode())
    finally:
        os._exit(127)


def claim() -> bool:
    """Become the owner of the attempt in the current directory. False when it has one already."""
    mine = f"host.{os.getpid()}"
    write_json(mine, {"pid": os.getpid(), "start_ticks": start_ticks(), "boot_id": boot_id()})
    try:
        os.link(mine, "host.json")
    except FileExistsError:
        return False
    finally:
        os.unlink(mine)
    return True


def descendants() -> list[int]:
    """Process ids below this one, from ``/proc/*/stat``."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            parent = parent_of(entry)
            children.setdefault(parent, []).append(int(entry))
    found: list[int] = []
    queue = [os.getpid()]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def parent_of(pid: str) -> int:
    """The parent's pid, -1 for a process that has gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])
    except OSError:
        return -1


def reap_all() -> bool:
    """Reap what has ended. True when no child is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


def signal_descendants(number: int) -> None:
    """Every process of the attempt, in whatever group or session it hides; each once."""
    for pid in descendants():
        signal_process(pid, number)


def signal_group(group: int, number: int) -> None:
    """The whole group, also what was forked a moment ago."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return  # gone, or a setuid program: `sweep` reports what stays


def signal_process(pid: int, number: int) -> None:
    """One process, if it is still there and ours to signal."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def read_grace(path: str, default: float) -> float | None:
    """Seconds in the stop file, None without one."""
    try:
        with open(path, encoding="ascii") as stop:
            text = stop.read().strip()
    except FileNotFoundError:
        return None
    return float(text) if text else default


def release_stdout() -> None:
    """Tell the waiting agent and let go of its pipe."""
    with contextlib.suppress(OSError):  # that agent has gone; a later one reads started.json
        os.write(1, b"+")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)


def ignore(*_: object) -> None:
    """Signal handler for a signal whose only use is to wake the main loop."""


def drain(descriptor: int) -> None:
    """Empty a non-blocking pipe."""
    try:
        while os.read(descriptor, 4096):
            pass
    except BlockingIOError:
        return


def read_line(descriptor: int) -> str:
    """One line without its end, "" when the other side has gone."""
    data = b""
    while not data.endswith(b"\n"):
        part = os.read(descriptor, 4096)
        if not part:
            return ""
        data += part
    return os.fsdecode(data[:-1])


def read_spec(path: str) -> HostSpec:
    """What to run."""
    with open(path, encoding="utf-8") as source:
        return json.load(source)


def write_json(path: str, value: Mapping[str, object], *, durable: bool = False) -> None:
    """Replace ``path`` at once, never halfway; ``durable`` outlasts a power cut."""
    temporary = path + ".tmp"
    with open(temporary, "w", encoding="utf-8") as target:
        json.dump(value, target)
        if durable:
            target.flush()
            os.fsync(target.fileno())
    os.rename(temporary, path)
    if durable:
        directory = os.open(".", os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)


def start_ticks() -> int:
    """When this process started: field 22 of its stat file."""
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as stat:
        return int(stat.read().rpartition(")")[2].split()[19])


def boot_id() -> str:
    """The kernel's random id of this boot."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as source:
        return source.read().strip()


if __name__ == "__main__":
    os._exit(main(sys.argv))  # without the interpreter's 5 ms of tidying up
