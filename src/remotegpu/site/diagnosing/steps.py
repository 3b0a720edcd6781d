"""What a step of a handbook is, what comes of it, and what follows from all of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from remotegpu.site.runner import Command
from remotegpu.site.status.items import Level


@dataclass(frozen=True)
class Answer:
    """How a command ended and what it said, secrets hidden. ``earlier``: outputs of the steps before, by name."""

    code: int
    output: str
    earlier: Mapping[str, str]


@dataclass(frozen=True)
class Verdict:
    """``cause``: what this explains, in one sentence; ``next_step``: what to do. Both empty when nothing is wrong.

    ``is_symptom``: it says that something does not work rather than why; another step may know that.
    """

    level: Level
    found: str
    cause: str = ""
    next_step: str = ""
    is_symptom: bool = False


Judge = Callable[[Answer], Verdict]


@dataclass(frozen=True, kw_only=True)
class Step:
    """``command`` changes nothing. ``keep``: what of its output is evidence; everything without it."""

    name: str
    question: str
    command: Command
    judge: Judge
    keep: Callable[[Answer], str] | None = None


class Finding(msgspec.Struct, kw_only=True, frozen=True):
    """A step that was taken. ``output``: what stays of it, secrets hidden."""

    name: str
    question: str
    command: str
    code: int
    seconds: float
    level: Level
    found: str
    cause: str
    next_step: str
    is_symptom: bool
    output: str


class Diagnosis(msgspec.Struct, kw_only=True, frozen=True):
    """``on_the_host``: commands for the GPU host itself, which the site cannot reach."""

    site: str
    handbook: str
    about: str
    at: datetime
    findings: tuple[Finding, ...]
    likely_cause: str
    next_step: str
    on_the_host: tuple[str, ...] = ()

    @property
    def is_well(self) -> bool:
        return all(finding.level in {"ok", "warning"} for finding in self.findings)


def conclude(findings: Sequence[Finding], otherwise: str) -> tuple[str, str]:
    """``(likely cause, next step)``: the first problem that is no symptom, else a symptom, else the first warning.

    ``otherwise``: what to do when all came out well.
    """
    explained = [finding for finding in findings if finding.cause]
    problems = sorted((one for one in explained if one.level == "problem"), key=lambda one: one.is_symptom)
    for finding in (*problems, *(one for one in explained if one.level == "warning")):
        return finding.cause, finding.next_step
    unseen = ", ".join(finding.name for finding in findings if finding.level in {"problem", "unknown"})
    if unseen:
        return f"not found; these could not be looked at: {unseen}", otherwise
    return "not found: every step came out well", otherwise
