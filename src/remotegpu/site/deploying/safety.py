"""The backup of the database before anything touches it."""

from remotegpu.site import runner
from remotegpu.site.commands.compose import Compose
from remotegpu.site.deploying.deployment import DeployError
from remotegpu.site.deploying.schema import last_json
from remotegpu.site.runner import CommandError

PROGRAM = "/opt/remotegpu/bin/remotegpu"
BACKUP_S = 6 * 3600.0


def back_up(compose: Compose, why: str, *, wait_s: int = 0) -> str:
    """Returns its id, and what is worth saying of it. ``wait_s``: for another backup that is at work.

    One that is here and could not be sent off site will do: an outage elsewhere must not keep a site from being mended.
    Raises :class:`~remotegpu.site.runner.CommandError`, :class:`DeployError`.
    """
    wanted = ("run", "--kind", "database", "--why", why, "--wait", str(wait_s), "--json")
    command = compose.execute("backup", PROGRAM, "backups", *wanted, timeout_s=BACKUP_S)
    done = runner.attempt(command)
    try:
        found = last_json(done.output)
    except (DeployError, ValueError):
        raise CommandError(command, done) from None
    made = ", ".join(str(one["id"]) for one in found.get("backups", ()))
    if not made:
        raise DeployError(f"the database was not backed up: {found.get('error', done.output[-300:])}")
    return made if done.code == 0 else f"{made}; warning: {found.get('error', 'it did not end well')}"
