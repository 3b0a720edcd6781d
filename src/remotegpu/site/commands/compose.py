"""Argument lists for Docker Compose on one site's project."""

from pathlib import Path

from remotegpu.site.bundle.compose import FILE_NAME
from remotegpu.site.runner import Command


class Compose:
    """Builds commands for the project whose bundle is in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _command(self, *arguments: str, timeout_s: float = 60.0, stdin: bytes = b"") -> Command:
        argv = ("docker", "compose", "--file", str(self._directory / FILE_NAME), *arguments)
        return Command(argv=argv, directory=self._directory, timeout_s=timeout_s, stdin=stdin)

    def version(self) -> Command:
        return Command(argv=("docker", "compose", "version", "--short"), timeout_s=15)

    def check(self) -> Command:
        return self._command("config", "--quiet")

    def start(self, *services: str, within_s: int) -> Command:
        """Start, or start anew what changed, and wait until all of it is healthy."""
        return self._command(
            *("up", "--detach", "--no-deps", "--wait", "--wait-timeout", str(within_s), *services),
            timeout_s=within_s + 60,
        )

    def start_again(self, *services: str, within_s: int) -> Command:
        """The same with new containers even where nothing changed."""
        return self._command(
            *("up", "--detach", "--no-deps", "--force-recreate", "--wait"),
            *("--wait-timeout", str(within_s), *services),
            timeout_s=within_s + 60,
        )

    def stop(self, *services: str, within_s: int) -> Command:
        """SIGTERM, and SIGKILL after each service's own grace. The containers go, their volumes stay."""
        return self._command("rm", "--stop", "--force", *services, timeout_s=within_s)

    def run_once(self, service: str, *arguments: str, timeout_s: float) -> Command:
        """A container of its own for one command; it goes away with it. Only the command's own words are shown."""
        quietly = ("--progress", "quiet")
        return self._command(
            *quietly, "run", "--rm", "--no-deps", "--no-TTY", service, *arguments, timeout_s=timeout_s
        )

    def execute(self, service: str, *arguments: str, stdin: bytes = b"", timeout_s: float = 60.0) -> Command:
        """A command in the running container."""
        return self._command("exec", "--no-TTY", service, *arguments, stdin=stdin, timeout_s=timeout_s)

    def logs(self, service: str, *, lines: int | None = None, since: str = "") -> Command:
        options = ("--tail", str(lines)) if lines is not None else ()
        options += ("--since", since) if since else ()
        return self._command("logs", "--no-color", "--no-log-prefix", *options, service)

    def containers(self) -> Command:
        """One JSON object per line: name, service, state, health, image."""
        return self._command("ps", "--all", "--format", "json")

    def signal(self, service: str, signal: str) -> Command:
        return self._command("kill", "--signal", signal, service)
