"""What happens in one run, decided before it begins: which tasks are submitted when, and what is killed when. Pure.

Everything follows from the seed. What the machine makes of it (how far a task is when the kill comes) does not.
"""

import random
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

T = TypeVar("T")

GPUS_PER_MACHINE = 2

Behaviour = Literal[
    "succeeds",
    "fails",
    "fails_first",
    "leaves_processes",
    "writes_much",
    "is_stopped",
    "runs_too_long",
    "outlasts_leases",
    "ignores_signals",
]
"""The last two run for longer than a lease, and the very last one cannot be asked to end: when their agent comes back
after it was given up, they still run, and their task may have been given out again."""
Target = Literal["server", "worker", "agent-1", "agent-2", "agent-3", "postgres", "valkey", "s3", "attempt"]
AGENTS: tuple[Target, ...] = ("agent-1", "agent-2", "agent-3")
Reach = Literal["leader", "one_child", "everything"]
"""``leader``: the process the keeper started; its children are left to notice. ``one_child``: one of those.
``everything``: the whole tree at once, as when the machine loses power."""

_BEHAVIOURS: Mapping[Behaviour, int] = {
    "succeeds": 10,
    "fails": 2,
    "fails_first": 3,
    "leaves_processes": 2,
    "writes_much": 3,
    "is_stopped": 1,
    "runs_too_long": 1,
}
LONG_LIVED: tuple[Behaviour, ...] = ("outlasts_leases", "ignores_signals")
_TARGETS: Mapping[Target, int] = {
    "server": 5,
    "worker": 3,
    "agent-1": 2,
    "agent-2": 2,
    "agent-3": 2,
    "postgres": 4,
    "valkey": 4,
    "s3": 1,
    "attempt": 1,
}
_REACHES: Mapping[Target, tuple[Reach, ...]] = {"postgres": ("leader", "one_child", "everything")}
"""The others are one process each. An agent's attempts are no part of it: they must go on."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large a run is. ``lease_s``: short, so that leases run out while an agent is away for longer; but not
    shorter than the longest pause between two calls of an agent that found no server.

    ``absences``: when that happens, as shares of the time. ``outages``: when database or server are away for as long.
    ``blackouts``: when everything is killed at once.
    """

    seconds: float
    tasks: int
    lease_s: int
    settle_s: float
    absences: tuple[float, ...]
    blackouts: tuple[float, ...]
    outages: tuple[tuple[float, Target], ...] = ()


CALM_S = 2.0
"""Before the first kill, so that there is something to interrupt."""

PATIENT_SHARE = 0.6

ABANDONED = 4
"""Tasks under way when an agent goes away for long."""

SHORT = Scale(seconds=20, tasks=40, lease_s=10, settle_s=120, absences=(0.8,), blackouts=(0.5,))
LONG = Scale(
    seconds=120,
    tasks=200,
    lease_s=12,
    settle_s=240,
    absences=(0.25, 0.9),
    blackouts=(0.15, 0.6),
    outages=((0.5, "postgres"), (0.7, "server")),
)


@dataclass(frozen=True, kw_only=True)
class TaskPlan:
    """One task. ``at``: seconds after the start of the run. ``impatience_s``: the client's first time limit.

    ``lines``: of its result file, and of its log.
    """

    number: int
    at: float
    machine: int
    behaviour: Behaviour
    kind: Literal["shell", "python"]
    seconds: float
    lines: int
    gpus: int
    priority: int
    max_retries: int
    key: str
    impatience_s: float

    @property
    def name(self) -> str:
        return f"{self.behaviour}-{self.number:03d}"


@dataclass(frozen=True, kw_only=True)
class Kill:
    """``down_s``: how long the target stays down afterwards. ``pick``: chooses among children or attempts, 0 to 1.

    ``patient``: before it, time stands still until the platform answers again. How fast that is depends on the machine,
    and without it a slow one would see one long outage. The others strike whatever is on its way up. ``calm_s``: and
    for so much longer, until tasks are under way.
    """

    at: float
    target: Target
    reach: Reach
    down_s: float
    pick: float
    patient: bool = False
    calm_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.at:6.2f} s  {self.target:9} {self.reach:10} down {self.down_s:.2f} s"


@dataclass(frozen=True, kw_only=True)
class Run:
    seed: int
    scale: Scale
    tasks: list[TaskPlan] = field(repr=False)
    kills: list[Kill] = field(repr=False)


def from_environment(environ: Mapping[str, str]) -> Run:
    """``REMOTEGPU_CHAOS=long`` is the long form; ``REMOTEGPU_CHAOS_SEED`` and ``_SECONDS`` count unless empty."""
    base = LONG if environ.get("REMOTEGPU_CHAOS") == "long" else SHORT
    seconds = float(environ.get("REMOTEGPU_CHAOS_SECONDS") or base.seconds)
    scale = replace(base, seconds=seconds)
    seed = int(environ.get("REMOTEGPU_CHAOS_SEED") or secrets.randbelow(1_000_000))
    return make(seed, scale)


def make(seed: int, scale: Scale) -> Run:
    """The same seed and scale give the same run."""
    rng = random.Random(seed)
    absences = [_absence(rng, share, rng.choice(AGENTS), scale) for share in scale.absences]
    outages = [_absence(rng, share, target, scale) for share, target in scale.outages]
    blackouts = [kill for share in scale.blackouts for kill in _blackout(rng, share * scale.seconds)]
    kills = [*absences, *outages, *blackouts, *_kills(rng, absences, scale)]
    abandoned = [
        _abandoned(rng, number, absence, scale) for number, absence in enumerate(absences * ABANDONED)
    ]
    others = [task_plan(rng, number, scale) for number in range(len(abandoned), scale.tasks)]
    return Run(
        seed=seed,
        scale=scale,
        tasks=sorted(abandoned + others, key=lambda plan: plan.at),
        kills=sorted(kills, key=lambda kill: kill.at),
    )


def _absence(rng: random.Random, share: float, target: Target, scale: Scale) -> Kill:
    """Longer than a lease: an agent's attempts are given up. Not so when it is the server that cannot be reached."""
    return Kill(
        at=share * scale.seconds,
        target=target,
        reach="leader",
        down_s=scale.lease_s + rng.uniform(5, 6),
        pick=0.0,
        patient=True,
        calm_s=4.0,
    )


def _blackout(rng: random.Random, at: float) -> list[Kill]:
    """Everything at once, as when the machine under it all is reset."""
    kills = [
        replace(_kill(rng, at, target), reach="everything") for target in _TARGETS if target != "attempt"
    ]
    return [replace(kills[0], patient=True), *kills[1:]]


def _abandoned(rng: random.Random, number: int, absence: Kill, scale: Scale) -> TaskPlan:
    """Begins before an absence and still runs when the agent is back: whoever follows must wait for its end."""
    return replace(
        task_plan(rng, number, scale),
        at=max(0.0, absence.at - rng.uniform(2, 5)),
        machine=AGENTS.index(absence.target),
        behaviour=LONG_LIVED[number % 2],
        seconds=absence.down_s + absence.calm_s + rng.uniform(6, 8),
        gpus=rng.choice((0, 0, 1)),
        priority=10,
        max_retries=(1, 1, 0, 1)[number % ABANDONED],
    )


def task_plan(rng: random.Random, number: int, scale: Scale) -> TaskPlan:
    """Any task."""
    behaviour = _one_of(rng, _BEHAVIOURS)
    return TaskPlan(
        number=number,
        at=rng.uniform(0, scale.seconds * 0.95),
        machine=rng.randrange(len(AGENTS)),
        behaviour=behaviour,
        kind=rng.choice(("shell", "shell", "python")),
        seconds=rng.uniform(0.2, 2.0),
        lines=rng.randint(9_000, 22_000) if behaviour == "writes_much" else rng.randint(1, 300),
        gpus=rng.choice((0, 0, 1, 1, 2)),
        priority=rng.randint(1, 9),
        max_retries=2 if behaviour == "fails_first" else rng.choice((0, 1, 2, 3)),
        key=f"chaos-{number}-{rng.randrange(1 << 32):08x}",
        impatience_s=rng.choice((10.0, 10.0, 10.0, rng.uniform(0.005, 0.1))),
    )


def after_all(machine: int) -> TaskPlan:
    """A short task for one machine, once nothing is killed any more."""
    rng = random.Random(machine)
    plain = task_plan(rng, 1000 + machine, SHORT)
    return replace(plain, machine=machine, behaviour="succeeds", seconds=0.2, lines=10, impatience_s=10.0)


def _kills(rng: random.Random, absences: Sequence[Kill], scale: Scale) -> list[Kill]:
    """Every second or two, sometimes several at once."""
    kills: list[Kill] = []
    targets = _endless_targets(rng)
    at = CALM_S
    while at < scale.seconds:
        together = rng.choice((1, 1, 1, 1, 2, 3))
        burst = [_kill(rng, at + rng.uniform(0, 0.05), next(targets)) for _ in range(together)]
        kills += [replace(burst[0], at=at, patient=rng.random() < PATIENT_SHARE), *burst[1:]]
        at += rng.uniform(1.0, 3.0)
    return [_spared(kill, absences) for kill in kills]


def _spared(kill: Kill, absences: Sequence[Kill]) -> Kill:
    """While an agent is away the server stays: it gives nothing up before it has listened for a whole lease."""
    during = any(absence.at <= kill.at <= absence.at + absence.down_s for absence in absences)
    return replace(kill, target="worker", reach="leader") if during and kill.target == "server" else kill


def _endless_targets(rng: random.Random) -> Iterator[Target]:
    """Each part once in random order, so that even a short run kills all of them; then by weight."""
    every: list[Target] = ["server", "worker", rng.choice(AGENTS), "postgres", "valkey"]
    rng.shuffle(every)
    yield from every
    while True:
        yield _one_of(rng, _TARGETS)


def _kill(rng: random.Random, at: float, target: Target) -> Kill:
    return Kill(
        at=at,
        target=target,
        reach=rng.choice(_REACHES.get(target, ("leader",))),
        down_s=rng.choice((0.0, rng.uniform(0.05, 0.5), rng.uniform(0.5, 2.0))),
        pick=rng.random(),
    )


def _one_of(rng: random.Random, weights: Mapping[T, int]) -> T:
    return rng.choices(list(weights), weights=list(weights.values()))[0]
