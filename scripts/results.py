"""Counts what a suite reported, and prints the summary of a whole run."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

ANSI = re.compile(r"\x1b\[[0-9;]*m")
VITEST_LINE = re.compile(r"^\s*Tests\s+(?P<counts>\d.*)$", re.MULTILINE)
VITEST_COUNT = re.compile(r"(\d+) (passed|failed|skipped|todo)")


@dataclass
class Result:
    """Numbers of one suite. ``notes`` are the reasons for what was skipped or left out.

    ``left_out``: why the whole suite did not run, in a few words; empty when it ran.
    """

    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    left_out: str = ""


def from_status(name: str, status: int) -> Result:
    """A check counts as one test."""
    return Result(name, passed=int(status == 0), failed=int(status != 0))


def from_junit(name: str, status: int, report: Path) -> Result:
    """Reads pytest's own report. A crash, or a suite without any test, counts as one failure."""
    result = Result(name)
    if not report.exists():
        result.failed, result.notes = 1, [f"pytest ended with {status} and wrote no report"]
        return result
    reasons: Counter[str] = Counter()
    for suite in ET.parse(report).getroot().iter("testsuite"):  # noqa: S314 - our own pytest wrote it
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        result.failed += failed
        result.skipped += skipped
        result.passed += int(suite.get("tests", 0)) - failed - skipped
        reasons.update(mark.get("message", "") for mark in suite.iter("skipped"))
    result.notes = [f"{count} skipped: {reason}" for reason, count in reasons.items()]
    if status and not result.failed:
        result.failed = 1
        result.notes.append("no test was collected" if status == 5 else f"pytest ended with {status}")
    return result


def from_vitest(name: str, status: int, output: str) -> Result:
    """Adds vitest's own count to one for the rest of the command (types, lint, drift of the generated client)."""
    result = Result(name)
    for line in VITEST_LINE.finditer(ANSI.sub("", output)):
        counts = {word: int(number) for number, word in VITEST_COUNT.findall(line["counts"])}
        result.passed += counts.get("passed", 0)
        result.failed += counts.get("failed", 0)
        result.skipped += counts.get("skipped", 0) + counts.get("todo", 0)
    if status == 0:
        result.passed += 1
    elif not result.failed:
        result.failed = 1
    return result


def print_summary(results: list[Result]) -> int:
    """Prints the table and the closing line; returns the exit status."""
    print(f"\n{'suite':<14}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for result in results:
        mark = "  <-- failed" if result.failed else ""
        numbers = f"{result.passed:>8}{result.failed:>8}{result.skipped:>9}{result.seconds:>9.1f}"
        print(f"{result.name:<14}{numbers}{mark}")
        for note in result.notes:
            print(f"{'':<14}  {note}")
    passed, failed, skipped = (
        sum(getattr(r, key) for r in results) for key in ("passed", "failed", "skipped")
    )
    print(f"{'together':<14}{passed:>8}{failed:>8}{skipped:>9}{sum(r.seconds for r in results):>9.1f}\n")
    print(f"{passed} passed, {failed} failed, {skipped} skipped{_left_out(results)}", flush=True)
    return 1 if failed or not passed else 0


def _left_out(results: list[Result]) -> str:
    """The part of the closing line without which it would look as if everything had run; empty when it did."""
    suites = [f"{result.name} ({result.left_out})" for result in results if result.left_out]
    return f"; left out: {', '.join(suites)}" if suites else ""
