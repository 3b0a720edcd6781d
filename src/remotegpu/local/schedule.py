"""When to start, restart and give up. Pure: time comes in as an argument."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from remotegpu.local.plan import ServiceSpec

Phase = Literal["waiting", "starting", "ready", "done", "backoff", "failed", "stopped"]
SATISFIED: frozenset[Phase] = frozenset({"ready", "done"})

RESTART_DELAYS_S = (0.1, 0.5, 1.0, 2.0, 4.0)
"""Delay before each restart after quick failures in a row; after the last one the service is given up."""

FIRST_DELAYS_S = (0.5, 2.0)
"""For steps, and for services that never were ready: what failed three times will not pass a fourth time, and somebody
waits to be told so."""

STEADY_S = 20.0
"""A run this long wipes the slate: the next failure counts as the first again."""


@dataclass
class Progress:
    """How far one service is. ``quick_failures`` counts those in a row; ``restarts`` counts all."""

    phase: Phase = "waiting"
    since: float = 0.0
    next_start: float = 0.0
    quick_failures: int = 0
    restarts: int = 0
    error: str = ""
    was_ready: bool = field(default=False)


def startable(spec: ServiceSpec, progress: Mapping[str, Progress], now: float) -> bool:
    """True when ``spec`` waits (for others, or for its back-off to pass) and nothing stands in its way."""
    own = progress[spec.name]
    if own.phase == "backoff":
        return now >= own.next_start
    return own.phase == "waiting" and all(_has_been_ready(progress[name]) for name in spec.after)


def _has_been_ready(progress: Progress) -> bool:
    """Order matters for the first start only: a service that lost its database copes, or is restarted later."""
    return progress.phase in SATISFIED or progress.was_ready


def after_failure(spec: ServiceSpec, own: Progress, now: float, error: str, *, patient: bool) -> Progress:
    """The progress after an unexpected end. ``patient``: never give up (the disk is full; space may come back)."""
    steady = own.phase == "ready" and now - own.since >= STEADY_S
    failures = 1 if steady else own.quick_failures + 1
    delays = RESTART_DELAYS_S if own.was_ready and not spec.step else FIRST_DELAYS_S
    give_up = failures > len(delays) and not patient
    return Progress(
        phase="failed" if give_up else "backoff",
        since=now,
        next_start=now + delays[min(failures, len(delays)) - 1],
        quick_failures=failures,
        restarts=own.restarts + 1,
        error=error,
        was_ready=own.was_ready,
    )


def is_up(plan: Iterable[ServiceSpec], progress: Mapping[str, Progress]) -> bool:
    """True when everything that counts is ready or done."""
    return all(progress[spec.name].phase in SATISFIED for spec in plan if not spec.optional)


def first_failure(plan: Iterable[ServiceSpec], progress: Mapping[str, Progress]) -> ServiceSpec | None:
    """The first given-up service that counts."""
    return next((spec for spec in plan if not spec.optional and progress[spec.name].phase == "failed"), None)


def stop_waves(plan: Sequence[ServiceSpec]) -> list[list[str]]:
    """Names in the order to stop: whoever needs others goes before them; equals go together."""
    level: dict[str, int] = {}
    for spec in plan:
        level[spec.name] = 1 + max((level[name] for name in spec.after), default=-1)
    waves: list[list[str]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for name, depth in level.items():
        waves[depth].append(name)
    return [wave for wave in reversed(waves) if wave]
