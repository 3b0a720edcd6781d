"""From what a client asked for to the program that does it, as the account it signed in to."""

from pathlib import Path

from remotegpu.agent.access.credential import Credential
from remotegpu.agent.access.environment import (
    environment,
    process_identity,
    supplementary_groups,
    terminal_command,
)
from remotegpu.agent.access.hosts.sftp import arguments as sftp_arguments
from remotegpu.agent.access.piped import PipedProgram, RunAs, start_piped
from remotegpu.agent.access.program import Listener, Program, Request
from remotegpu.agent.access.shells import ShellHosts, helper_argv, persistent_name, single_use_name
from remotegpu.agent.accounts import AccountIdentity

# Debian and Ubuntu, RHEL and SUSE, Arch, Alpine.
_SYSTEM_SFTP_SERVERS = (
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/lib/ssh/sftp-server",
    "/usr/libexec/sftp-server",
)


class Launcher:
    """``agent_path``: the agent's PATH, used in directory isolation."""

    def __init__(self, shells: ShellHosts, *, agent_path: str | None) -> None:
        self._shells = shells
        self._agent_path = agent_path

    async def start(
        self, request: Request, listener: Listener, *, account: AccountIdentity, credential: Credential
    ) -> Program:
        """Raises ``ProgramError``."""
        env = environment(account, term=request.term, asked=request.env, agent_path=self._agent_path)
        if request.sftp:
            return await _start_sftp(env, account, listener)
        command = terminal_command(env, request.command)
        if request.term is None:
            # Without a terminal a shell reads its commands from the pipe: a login shell still, as with sshd.
            argv = ["-c", request.command] if request.command is not None else ["-l"]
            return await start_piped(
                [command["executable"], *argv],
                env=env,
                cwd=str(account.home),
                run_as=_run_as(account),
                listener=listener,
            )
        name = single_use_name(account.name)
        if request.shell_id is not None:
            name = persistent_name(account.name, credential.identity, request.shell_id)
        return await self._shells.attach(
            name,
            command=command,
            identity=process_identity(account),
            size=request.size,
            persistent=request.shell_id is not None,
            listener=listener,
        )


async def _start_sftp(env: dict[str, str], account: AccountIdentity, listener: Listener) -> PipedProgram:
    """The system's SFTP server as the account's user, else our own, which takes that identity by itself."""
    system = _system_sftp_server()
    cwd = str(account.home)
    if system is not None:
        return await start_piped([system], env=env, cwd=cwd, run_as=_run_as(account), listener=listener)
    argv = helper_argv("sftp", *sftp_arguments(process_identity(account)))
    return await start_piped(argv, env=env, cwd="/", run_as=RunAs(), listener=listener)


def _system_sftp_server() -> str | None:
    return next((path for path in _SYSTEM_SFTP_SERVERS if Path(path).exists()), None)


def _run_as(account: AccountIdentity) -> RunAs:
    if account.uid is None or account.gid is None:
        return RunAs()
    return RunAs(user=account.uid, group=account.gid, extra_groups=supplementary_groups(account))
