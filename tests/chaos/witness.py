"""What the tasks themselves testify: a file outside of the platform that every attempt writes to.

An attempt holds a kernel lock on its task's file for as long as any process of it lives. Whoever finds it locked writes
``overlap``: no clock and no report of the platform is involved. The same for each GPU it was given.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chaos.plans import LONG_LIVED, TaskPlan

MARK = "REMOTEGPU_CHAOS_WITNESS"
"""Environment variable of every attempt: where to testify. Also how stray processes are found afterwards."""

FAILURE = 3
"""Exit code of what fails on purpose."""
TIMEOUT_S = 2
LONG_S = 45
"""Longer than a run waits for anything: such a task ends by being stopped, or by its time limit."""

_SHELL = """
testify() {{
  {{ flock 8; printf '%s\\n' "$1 $REMOTEGPU_TASK_ID $REMOTEGPU_ATTEMPT_ID $EPOCHREALTIME" >&8; }} 8>>"${mark}/testimony"
}}
exec 9>>"${mark}/task-$REMOTEGPU_TASK_ID"
flock -n 9 || testify overlap
descriptor=10
for gpu in ${{CUDA_VISIBLE_DEVICES//,/ }}; do
  eval "exec $descriptor>>'${mark}/gpu-{machine}-$gpu'"
  flock -n $descriptor || testify gpu_overlap
  descriptor=$((descriptor + 1))
done
{ignores}
testify start
echo "first $REMOTEGPU_ATTEMPT_ID"
{leaves}
sleep {half}
seq -f "$REMOTEGPU_ATTEMPT_ID %.0f" {lines}
sleep {half}
seq -f "$REMOTEGPU_TASK_ID %.0f" {lines} > "$REMOTEGPU_OUTPUT_DIR/result.txt"
code={code}
echo "last $REMOTEGPU_ATTEMPT_ID"
testify end
exit $code
"""

_PYTHON = """
import fcntl, os, signal, subprocess, sys, time
place, task, attempt = os.environ[{mark!r}], os.environ["REMOTEGPU_TASK_ID"], os.environ["REMOTEGPU_ATTEMPT_ID"]

def testify(word):
    with open(place + "/testimony", "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f"{{word}} {{task}} {{attempt}} {{time.time():.6f}}\\n")

def hold(name, word):
    file = open(place + "/" + name, "a")
    os.set_inheritable(file.fileno(), True)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        testify(word)
    return file

held = [hold("task-" + task, "overlap")]
held += [hold("gpu-{machine}-" + gpu, "gpu_overlap") for gpu in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if gpu]
{ignores}
testify("start")
print("first", attempt)
{leaves}
time.sleep({half})
sys.stdout.write("".join(f"{{attempt}} {{number}}\\n" for number in range(1, {lines} + 1)))
time.sleep({half})
with open(os.environ["REMOTEGPU_OUTPUT_DIR"] + "/result.txt", "w") as file:
    file.write("".join(f"{{task}} {{number}}\\n" for number in range(1, {lines} + 1)))
code = {code}
print("last", attempt)
testify("end")
sys.exit(code)
"""

_LEAVES = {
    "shell": "setsid sleep 600 >/dev/null 2>&1 & ( sleep 600 & )",
    "python": "subprocess.Popen(['sleep', '600'], start_new_session=True, close_fds=False)",
}
_IGNORES = {"shell": "trap '' TERM", "python": "signal.signal(signal.SIGTERM, signal.SIG_IGN)"}
_ONLY_FIRST = {
    "shell": "$([ $REMOTEGPU_ATTEMPT = 1 ] && echo {:.3f} || echo 0.1)",
    "python": "{:.3f} if os.environ['REMOTEGPU_ATTEMPT'] == '1' else 0.1",
}
"""Only a first attempt must outlast its lease; the next ones may be quick."""
_CODES = {
    "shell": {
        "fails": str(FAILURE),
        "fails_first": f"$(( REMOTEGPU_ATTEMPT == 1 ? {FAILURE} : 0 ))",
    },
    "python": {
        "fails": str(FAILURE),
        "fails_first": f"{FAILURE} if os.environ['REMOTEGPU_ATTEMPT'] == '1' else 0",
    },
}


def command(plan: TaskPlan) -> str:
    """The task's program. It holds its locks for its whole life, and so does whatever it leaves behind."""
    half = (LONG_S if plan.behaviour in {"is_stopped", "runs_too_long"} else plan.seconds) / 2
    template = _SHELL if plan.kind == "shell" else _PYTHON
    return template.format(
        mark=MARK,
        machine=plan.machine,
        half=_ONLY_FIRST[plan.kind].format(half) if plan.behaviour in LONG_LIVED else f"{half:.3f}",
        lines=plan.lines,
        ignores=_IGNORES[plan.kind] if plan.behaviour == "ignores_signals" else "",
        leaves=_LEAVES[plan.kind] if plan.behaviour == "leaves_processes" else "",
        code=_CODES[plan.kind].get(plan.behaviour, "0"),
    )


def expected_log(plan: TaskPlan, attempt_id: str) -> bytes:
    """The whole log of an attempt that came to its end."""
    body = "".join(f"{attempt_id} {number}\n" for number in range(1, plan.lines + 1))
    return f"first {attempt_id}\n{body}last {attempt_id}\n".encode()


def expected_result(plan: TaskPlan, task_id: str) -> bytes:
    """The content of ``result.txt``."""
    return "".join(f"{task_id} {number}\n" for number in range(1, plan.lines + 1)).encode()


@dataclass(frozen=True)
class Testimony:
    """One line. ``at``: epoch seconds. ``word``: start, end, overlap or gpu_overlap."""

    __test__ = False  # pytest takes every Test* for a test

    word: str
    task_id: str
    attempt_id: str
    at: float


def read(directory: Path) -> list[Testimony]:
    """Every line, in the order in which they were written."""
    path = directory / "testimony"
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    return [
        Testimony(word, task_id, attempt_id, float(at))
        for word, task_id, attempt_id, at in (line.split() for line in lines)
    ]


def contradictions(testimonies: Iterable[Testimony]) -> list[str]:
    """What must not be: two attempts at once, one started twice, a GPU used twice, an end without a start."""
    found: list[str] = []
    starts: Counter[str] = Counter()
    open_attempts: dict[str, set[str]] = defaultdict(set)
    for line in testimonies:
        where = f"task {line.task_id} attempt {line.attempt_id} at {line.at:.3f}"
        if line.word == "overlap":
            found.append(f"{where}: another attempt of the task still lives")
        elif line.word == "gpu_overlap":
            found.append(f"{where}: another attempt still uses its GPU")
        elif line.word == "start":
            starts[line.attempt_id] += 1
            open_attempts[line.task_id].add(line.attempt_id)
        elif line.attempt_id not in open_attempts[line.task_id]:
            found.append(f"{where}: ended without a start")
    found += [
        f"attempt {attempt_id} was started {count} times" for attempt_id, count in starts.items() if count > 1
    ]
    return found
