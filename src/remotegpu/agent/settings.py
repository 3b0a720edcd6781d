"""The agent's settings: read from the environment, checked whole, every problem named at once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from remotegpu.kit.environment import Environment

Isolation = Literal["linux", "directory"]
LOG_LEVELS = ("debug", "info", "warning", "error")
MAX_SIMULATED_GPUS = 64


@dataclass(frozen=True, slots=True)
class Settings:
    """What a running agent needs. ``python`` is the interpreter of tasks of kind ``python``."""

    server_url: str
    agent_token: str = field(repr=False)
    data_dir: Path
    isolation: Isolation
    log_level: str = "info"
    simulate_gpus: int = 0
    python: str = "python3"


def load(variables: Mapping[str, str], *, is_root: bool | None = None) -> Settings:
    """Read and check every setting. Raises :class:`~remotegpu.kit.environment.SettingsError` with all problems."""
    root = os.geteuid() == 0 if is_root is None else is_root
    env = Environment(variables)
    data_dir = default_data_dir(is_root=root)
    isolation = partial(parse_isolation, is_root=root)
    settings = Settings(
        server_url=env.parsed("REMOTEGPU_SERVER_URL", None, parse_server_url, ""),
        agent_token=env.secret("REMOTEGPU_AGENT_TOKEN"),
        data_dir=env.parsed("REMOTEGPU_DATA_DIR", str(data_dir), parse_data_dir, data_dir),
        isolation=env.parsed("REMOTEGPU_ISOLATION", "linux", isolation, "linux"),
        log_level=env.parsed("REMOTEGPU_LOG_LEVEL", "info", parse_log_level, "info"),
        simulate_gpus=env.parsed("REMOTEGPU_SIMULATE_GPUS", "0", parse_gpu_count, 0),
        python=env.text("REMOTEGPU_PYTHON", "python3"),
    )
    if len(settings.agent_token.split()) > 1 or not settings.agent_token.isascii():
        env.problems.append(
            "REMOTEGPU_AGENT_TOKEN: found blanks or foreign characters in it, expected one word"
        )
    env.finish()
    return settings


def default_data_dir(*, is_root: bool) -> Path:
    """Where the agent keeps its state unless told otherwise."""
    if is_root:
        return Path("/var/lib/remotegpu-agent")
    return Path.home() / ".local" / "share" / "remotegpu-agent"


def parse_server_url(text: str) -> str:
    """The server's base URL without a slash at its end. Raises ``ValueError``."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    else:
        usable = usable and not (parts.query or parts.fragment or parts.username)
    if not usable:
        raise ValueError(f"found {text!r}, expected a URL such as https://gpu.example.com")
    return text.rstrip("/")


def parse_data_dir(text: str) -> Path:
    """An absolute path to a directory, or to where one can be made. Raises ``ValueError``."""
    path = Path(text)
    if not path.is_absolute():
        raise ValueError(f"found {text!r}, expected an absolute path")
    if path.exists() and not path.is_dir():
        raise ValueError(f"found {text!r}, which is not a directory, expected one, or a path to create it at")
    return path


def parse_isolation(text: str, *, is_root: bool) -> Isolation:
    """How customers are kept apart, if this user can do it. Raises ``ValueError``."""
    if text == "directory":
        return "directory"
    if text != "linux":
        raise ValueError(
            f"found {text!r}, expected linux (an account per customer, needs root) or directory (evaluation)"
        )
    if not is_root:
        raise ValueError(
            "found linux while not running as root, expected root, because only root can create accounts; "
            "or --isolation directory to evaluate without it"
        )
    return "linux"


def parse_log_level(text: str) -> str:
    """One of :data:`LOG_LEVELS`, in lower case. Raises ``ValueError``."""
    if text.lower() not in LOG_LEVELS:
        raise ValueError(f"found {text!r}, expected one of {', '.join(LOG_LEVELS)}")
    return text.lower()


def parse_gpu_count(text: str) -> int:
    """How many GPUs to simulate. Raises ``ValueError``."""
    if not (text.isascii() and text.isdecimal() and int(text) <= MAX_SIMULATED_GPUS):
        raise ValueError(f"found {text!r}, expected a whole number from 0 to {MAX_SIMULATED_GPUS}")
    return int(text)
