"""Reading settings from the environment, whole: every problem at once, secrets also from files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class SettingsError(Exception):
    """All problems of one environment. Each line: key, what was found, what is expected."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{len(problems)} setting(s) need attention:\n{lines}")


@dataclass
class Environment:
    """A view of environment variables that collects problems instead of stopping at the first one."""

    variables: Mapping[str, str]
    problems: list[str] = field(default_factory=list)

    def text(self, key: str, default: str | None = None) -> str:
        """The value of ``key``. Without a default, absence is a problem."""
        value = self.variables.get(key, "")
        if value == "" and default is None:
            self.problems.append(f"{key}: found nothing, expected a value")
        return value or default or ""

    def parsed(self, key: str, default: str | None, parse: Callable[[str], T], fallback: T) -> T:
        """``parse(value)``; a ``ValueError`` becomes a problem and ``fallback`` stands in."""
        value = self.text(key, default)
        if value == "" and default is None:
            return fallback
        try:
            return parse(value)
        except ValueError as error:
            self.problems.append(f"{key}: {error}")
            return fallback

    def secret(self, key: str, *, required: bool = True) -> str:
        """The secret in ``KEY`` or in the file that ``KEY_FILE`` names; never a default, never echoed."""
        value = self._given(key)
        if not value and required and not self.variables.get(f"{key}_FILE"):
            self.problems.append(f"{key}: found nothing, expected {key}_FILE naming a file (or {key})")
        return value

    def text_or_file(self, key: str, default: str) -> str:
        """Like :meth:`text`, for what is no secret but changes together with one, such as a rotated role's name."""
        return self._given(key) or default

    def _given(self, key: str) -> str:
        """The value of ``KEY``, or what stands in the file ``KEY_FILE``; both at once is a problem."""
        path = self.variables.get(f"{key}_FILE")
        value = self.variables.get(key, "")
        if path and value:
            self.problems.append(f"{key}: found both {key} and {key}_FILE, expected one of them")
        return self._read(key, Path(path)) if path else value

    def finish(self) -> None:
        """Raise :class:`SettingsError` when anything was wrong."""
        if self.problems:
            raise SettingsError(self.problems)

    def _read(self, key: str, path: Path) -> str:
        try:
            value = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            self.problems.append(f"{key}_FILE: cannot read {path}: {error.strerror}")
            return ""
        if not value:
            self.problems.append(f"{key}_FILE: {path} is empty, expected the value in it")
        return value


def parse_port(text: str) -> int:
    """A TCP port. Raises ``ValueError``."""
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise ValueError(f"found {text!r}, expected a port between 1 and 65535")
    return int(text)
