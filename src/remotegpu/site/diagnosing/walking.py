"""Takes the steps of a handbook, one after the other."""

from collections.abc import Callable, Sequence

from remotegpu.kit.redaction import Redactor
from remotegpu.site import runner
from remotegpu.site.diagnosing.steps import Answer, Finding, Step

Progress = Callable[[str, str], None]
"""``(step, what is said of it)``."""


def walk(steps: Sequence[Step], redact: Redactor, progress: Progress) -> list[Finding]:
    """A step whose command fails is a finding like any other; the next one is taken all the same."""
    earlier: dict[str, str] = {}
    findings: list[Finding] = []
    for step in steps:
        progress(step.name, step.question)
        finding = _take(step, redact, earlier)
        earlier[step.name] = finding.output
        progress(step.name, f"{finding.level}: {finding.found}")
        findings.append(finding)
    return findings


def _take(step: Step, redact: Redactor, earlier: dict[str, str]) -> Finding:
    done = runner.attempt(step.command)
    answer = Answer(done.code, redact(done.output), dict(earlier))
    verdict = step.judge(answer)
    return Finding(
        name=step.name,
        question=step.question,
        command=redact(str(step.command)),
        code=done.code,
        seconds=round(done.seconds, 3),
        level=verdict.level,
        found=redact(verdict.found),
        cause=redact(verdict.cause),
        next_step=verdict.next_step,
        is_symptom=verdict.is_symptom,
        output=step.keep(answer) if step.keep else answer.output,
    )
