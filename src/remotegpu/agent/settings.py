"""The agent's settings: read from the environment, checked whole, every problem named at once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

Isolation = Literal["linux", "directory"]
LOG_LEVELS = ("debug", "info", "warning", "error")
MAX_SIMULATED_GPUS = 64


@dataclass(frozen=True, slots=True)
class Problem:
    """One setting that is not usable: its environment name, what was found there, what is expected."""

    key: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.key}: found {self.found}, expected {self.expected}"


class SettingsError(Exception):
    """Everything wrong with the settings, one line each."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__(
            "\n".join(["The agent's settings are not usable:", *(f"  {each}" for each in problems)])
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """What a running agent needs. ``python`` is the interpreter of tasks of kind ``python``."""

    server_url: str
    agent_token: str
    data_dir: Path
    isolation: Isolation
    log_level: str = "info"
    simulate_gpus: int = 0
    python: str = "python3"

    def __repr__(self) -> str:
        """Without the token: settings end up in logs and tracebacks."""
        return f"Settings(server_url={self.server_url!r}, data_dir={str(self.data_dir)!r}, token=***)"


def default_data_dir(*, is_root: bool) -> Path:
    """Where the agent keeps its state unless told otherwise."""
    if is_root:
        return Path("/var/lib/remotegpu-agent")
    return Path.home() / ".local" / "share" / "remotegpu-agent"


def load(environ: Mapping[str, str], *, is_root: bool | None = None) -> Settings:
    """Read and check every setting. Raises :class:`SettingsError` with all problems."""
    root = os.geteuid() == 0 if is_root is None else is_root
    read = _Reader(environ)
    settings = Settings(
        server_url=read.server_url("REMOTEGPU_SERVER_URL"),
        agent_token=read.secret("REMOTEGPU_AGENT_TOKEN"),
        data_dir=read.directory("REMOTEGPU_DATA_DIR", default_data_dir(is_root=root)),
        isolation=read.isolation("REMOTEGPU_ISOLATION", is_root=root),
        log_level=read.choice("REMOTEGPU_LOG_LEVEL", "info", LOG_LEVELS),
        simulate_gpus=read.count("REMOTEGPU_SIMULATE_GPUS", MAX_SIMULATED_GPUS),
        python=environ.get("REMOTEGPU_PYTHON", "") or "python3",
    )
    if read.problems:
        raise SettingsError(read.problems)
    return settings


def check_server_url(key: str, value: str) -> Problem | None:
    """None when ``value`` is a usable base URL of the server."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    else:
        usable = usable and not (parts.query or parts.fragment or parts.username)
    if usable:
        return None
    return Problem(key, repr(value) if value else "nothing", "a URL such as https://gpu.example.com")


def check_isolation(key: str, value: str, *, is_root: bool) -> Problem | None:
    """None when ``value`` can work for this user; empty means "linux when root"."""
    if value == "directory" or (value in {"", "linux"} and is_root):
        return None
    if value in {"", "linux"}:
        return Problem(
            key,
            f"{value or 'nothing'!r} while not running as root",
            "root, because only root can create accounts; or --isolation directory to evaluate without it",
        )
    return Problem(
        key, repr(value), "'linux' (one account per customer, needs root) or 'directory' (evaluation)"
    )


class _Reader:
    """Collects problems while each setting is read, and stands in a harmless value for an unusable one."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[Problem] = []

    def server_url(self, key: str) -> str:
        value = self._environ.get(key, "").rstrip("/")
        self._note(check_server_url(key, value))
        return value

    def secret(self, key: str) -> str:
        """``KEY``, or the content of the file named by ``KEY_FILE``."""
        value, file = self._environ.get(key, ""), self._environ.get(f"{key}_FILE", "")
        if value and file:
            self._note(Problem(key, f"both {key} and {key}_FILE", "one of them"))
        elif file:
            value = self._content(f"{key}_FILE", file)
        elif not value:
            self._note(Problem(key, "nothing", "the node token; `remotegpu agent enroll` obtains one"))
        if value and not (value.isascii() and value.isprintable() and " " not in value):
            self._note(Problem(key, "a value with blanks or control characters", "the node token, one word"))
        return value

    def directory(self, key: str, default: Path) -> Path:
        value = self._environ.get(key, "")
        path = Path(value) if value else default
        if not path.is_absolute():
            self._note(Problem(key, repr(value), "an absolute path"))
        elif path.exists() and not path.is_dir():
            self._note(
                Problem(key, f"{value!r}, which is not a directory", "a directory, or a path to create it at")
            )
        return path

    def isolation(self, key: str, *, is_root: bool) -> Isolation:
        value = self._environ.get(key, "")
        self._note(check_isolation(key, value, is_root=is_root))
        return "directory" if value == "directory" else "linux"

    def choice(self, key: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self._environ.get(key, "") or default
        if value.lower() not in allowed:
            self._note(Problem(key, repr(value), "one of " + ", ".join(allowed)))
        return value.lower()

    def count(self, key: str, most: int) -> int:
        value = self._environ.get(key, "") or "0"
        if not (value.isdecimal() and value.isascii() and int(value) <= most):
            self._note(Problem(key, repr(value), f"a whole number from 0 to {most}"))
            return 0
        return int(value)

    def _content(self, key: str, file: str) -> str:
        try:
            content = Path(file).read_text(encoding="ascii").strip()
        except UnicodeDecodeError:
            self._note(Problem(key, f"{file!r}, which is not ASCII text", "a file with the node token"))
            return ""
        except OSError as error:
            self._note(Problem(key, f"{file!r} ({error.strerror})", "a readable file with the node token"))
            return ""
        if not content:
            self._note(Problem(key, f"{file!r}, which is empty", "a file with the node token"))
        return content

    def _note(self, problem: Problem | None) -> None:
        if problem is not None:
            self.problems.append(problem)


def as_isolation(value: str) -> Isolation:
    """``value`` as checked by :func:`check_isolation`."""
    return cast("Isolation", value or "linux")
