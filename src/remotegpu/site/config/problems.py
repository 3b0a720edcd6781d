"""What can be wrong with a site's file, each with the line, what was found, what is expected, and what to do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ConfigProblem:
    """``line``: of the file, from 1; None for what is missing as a whole."""

    key: str
    found: str
    expected: str
    remedy: str
    line: int | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.key}: found {self.found}, expected {self.expected}. {self.remedy}"


class ConfigError(Exception):
    """The file cannot be used. Carries every problem, not only the first."""

    def __init__(self, path: str, problems: Sequence[ConfigProblem]) -> None:
        self.path = path
        self.problems = sorted(problems, key=lambda problem: (problem.line or 0, problem.key))
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"{path} has {len(self.problems)} problem(s):\n{lines}")


def closest(name: str, known: Iterable[str]) -> str:
    """The known name that was probably meant, empty when none is near."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for a file with mistakes

    return next(iter(get_close_matches(name, list(known), n=1)), "")
