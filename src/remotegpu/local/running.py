"""Whether the platform that runs already is the one that was asked for. Pure."""

from dataclasses import dataclass
from pathlib import Path

from remotegpu.local.errors import AlreadyRunningError
from remotegpu.local.plan import Options
from remotegpu.local.state import PlatformState


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options that somebody named. None: the default, or whatever runs already."""

    port: int | None = None
    agent: bool | None = None
    simulate_gpus: int | None = None
    isolation: str | None = None

    @property
    def options(self) -> Options:
        """For a start: what was named, and the defaults."""
        named = {name: value for name, value in vars(self).items() if value is not None}
        return Options(**named)


def require_same(asked: Asked, running: PlatformState, root: Path) -> None:
    """Raises :class:`AlreadyRunningError` that says in what the platform in ``root`` differs from what was asked."""
    found = differences(asked, running)
    lines = "\n".join(f"  {line}" for line in found)
    if found:
        raise AlreadyRunningError(
            f"The platform in {root} runs already: pid {running.supervisor.pid}, {running.url}, with other options:\n"
            f"{lines}\n"
            "Leave these options out to go on with it, end it with 'remotegpu down' first, or choose another"
            " --data-dir."
        )


def differences(asked: Asked, running: PlatformState) -> list[str]:
    """``--port: runs with 8080, asked for 9090`` for each named option that differs."""
    has_agent = any(service.name == "agent" for service in running.services)
    pairs = {
        "--port": (port_of(running.url), asked.port),
        "--agent": (has_agent, asked.agent),
        "--simulate-gpus": (running.simulated_gpus, asked.simulate_gpus),
        # The state of an older version does not tell it.
        "--isolation": (running.isolation or asked.isolation, asked.isolation),
    }
    return [
        f"{name}: runs with {_shown(ours)}, asked for {_shown(theirs)}"
        for name, (ours, theirs) in pairs.items()
        if theirs is not None and ours != theirs
    ]


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def _shown(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
